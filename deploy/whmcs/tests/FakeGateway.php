<?php

namespace Vmline\Tests;

/**
 * A gateway on a port of its own that says what a test wants to hear; see fake/router.php.
 */
final class FakeGateway
{
    public readonly string $url;
    private readonly string $dir;

    /** @var resource */
    private $process;

    public function __construct()
    {
        $this->dir = sys_get_temp_dir() . '/vmline-fake-' . bin2hex(random_bytes(6));
        mkdir($this->dir);
        $this->answer([]);
        $port = Port::free();
        $this->url = "http://127.0.0.1:$port";
        $environment = ['VMLINE_FAKE' => $this->dir, 'PHP_CLI_SERVER_WORKERS' => '4', 'PATH' => (string) getenv('PATH')];
        $command = ['setsid', PHP_BINARY, '-S', "127.0.0.1:$port", __DIR__ . '/fake/router.php'];
        $this->process = proc_open($command, [1 => ['file', '/dev/null', 'w'], 2 => ['file', '/dev/null', 'w']], $pipes, null, $environment);
        Port::await($port);
    }

    /** @param array<string,list<array<string,mixed>>> $answers */
    public function answer(array $answers): void
    {
        file_put_contents("$this->dir/answers.json", json_encode($answers, JSON_PRESERVE_ZERO_FRACTION));
    }

    /**
     * @param string $start only those that begin so, for example "GET /v1/events"
     * @return list<array{method:string,target:string,headers:array<string,string>,body:string}>
     */
    public function requests(string $start = ''): array
    {
        $lines = is_file("$this->dir/requests.jsonl") ? file("$this->dir/requests.jsonl", FILE_IGNORE_NEW_LINES) : [];
        $requests = array_map(static fn (string $line): array => json_decode($line, true), $lines);
        return array_values(array_filter($requests, static fn (array $r): bool => str_starts_with("$r[method] $r[target]", $start)));
    }

    public function close(): void
    {
        posix_kill(-proc_get_status($this->process)['pid'], SIGKILL); // its workers with it
        proc_close($this->process);
        array_map('unlink', glob("$this->dir/*"));
        rmdir($this->dir);
    }
}
