<?php

namespace Vmline\Tests;

use PDO;
use WHMCS\Database\Capsule;
use WHMCS\Module\Server\Vmline\Reference;
use WHMCS\Module\Server\Vmline\Webhook;

/**
 * Processes that bring the same events of the real gateway into one database at once: crons, and the doorbell.
 */
final class RacingTest extends RealCase
{
    private const SECRET_OF_DOORBELL = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
    private const FIRST = 3001;
    private const LAST = 3020;

    private string $root;

    /** @var array<string,string> */
    private array $environment;

    protected function setUp(): void
    {
        parent::setUp();
        foreach (range(self::FIRST, self::LAST) as $id) {
            $this->service($id);
            $this->assertSame('success', vmline_CreateAccount($this->params([], $id)));
        }
        foreach (range(self::FIRST, self::LAST) as $id) {
            $this->ended('succeeded', $id);
        }
        $this->build();
    }

    /** Another WHMCS with the same services, which has heard of nothing yet. */
    private function build(): void
    {
        $this->root = sys_get_temp_dir() . '/vmline-race-' . bin2hex(random_bytes(6));
        mkdir("$this->root/modules/servers", 0700, true);
        mkdir("$this->root/stand-in");
        foreach (glob(__DIR__ . '/whmcs/*.php') as $file) {
            copy($file, "$this->root/stand-in/" . basename($file));
        }
        file_put_contents("$this->root/init.php", "<?php\nrequire_once __DIR__ . '/stand-in/init.php';\n");
        self::copyAll(dirname(__DIR__) . '/modules/servers/vmline', "$this->root/modules/servers/vmline");
        $this->environment = ['VMLINE_TEST_DB' => "$this->root/db.sqlite", 'VMLINE_TEST_MYSQL' => (string) getenv('VMLINE_TEST_MYSQL'),
            'PATH' => (string) getenv('PATH')];
        touch("$this->root/db.sqlite");
        $server = (array) Capsule::table('tblservers')->first();
        $this->php(sprintf(
            '
            use WHMCS\Database\Capsule;
            Capsule::schema()->dropAllTables();
            stand_in_tables();
            Capsule::table("tblservers")->insert(%s);
            Capsule::table("tblemailtemplates")->insert(["id" => 9, "name" => "VPS Ready"]);
            Capsule::table("tblproducts")->insert(["id" => 5, "servertype" => "vmline", "welcomeemail" => 9]);
            foreach (range(%d, %d) as $id) {
                Capsule::table("tblhosting")->insert(["id" => $id, "packageid" => 5, "server" => 3, "userid" => 7]);
            }
            \WHMCS\Module\Server\Vmline\Meta::set("install_id", %s);
            \WHMCS\Module\Server\Vmline\Meta::set("webhook:3", encrypt(%s));
            ',
            var_export($server, true),
            self::FIRST,
            self::LAST,
            var_export(Reference::install(), true),
            var_export(self::SECRET_OF_DOORBELL, true)
        ));
    }

    protected function tearDown(): void
    {
        if (isset($this->root)) {
            exec('rm -r ' . escapeshellarg($this->root));
        }
    }

    public function testTwoCronsAndADoorbell(): void
    {
        $port = Port::free();
        $web = $this->start([PHP_BINARY, '-S', "127.0.0.1:$port", '-t', $this->root]);
        Port::await($port);
        try {
            $crons = [];
            for ($i = 0; $i < 3; $i++) {
                $crons[] = $this->start($this->cron());
            }
            $this->assertSame(204, $this->ring($port, self::SECRET_OF_DOORBELL));
            foreach ($crons as $cron) {
                $this->assertSame(0, proc_close($cron));
            }
            $this->php('\WHMCS\Module\Server\Vmline\Hooks::afterCronJob();'); // the next run finds nothing left to do
            $this->assertEachMailOnce();
            $this->assertSame(401, $this->ring($port, 'whsec_' . base64_encode(str_repeat('x', 24))));
        } finally {
            proc_terminate($web, 9);
            proc_close($web);
        }
    }

    /** A run that dies in the middle is taken over where it stopped. */
    public function testACronThatIsKilled(): void
    {
        for ($kills = 0; $kills < 10; $kills++) {
            $from = $this->cursor();
            $cron = $this->start($this->cron());
            while ($this->cursor() <= $from && proc_get_status($cron)['running']) {
                usleep(1000);
            }
            proc_terminate($cron, 9);
            proc_close($cron);
            $this->query('UPDATE mod_vmline_feeds SET held_until = 0'); // a minute later
        }
        $this->assertGreaterThan(0, $this->cursor());
        $this->php('\WHMCS\Module\Server\Vmline\Hooks::afterCronJob();');
        $services = self::LAST - self::FIRST + 1;
        $this->assertSame($services, (int) $this->query("SELECT count(DISTINCT dedicatedip) FROM tblhosting WHERE dedicatedip <> ''")[0][0]);
        $this->assertSame($services, (int) $this->query("SELECT count(*) FROM tblhosting WHERE notes LIKE '%ready:%'")[0][0]);
        $mails = $this->query('SELECT arguments, count(*) AS n FROM stand_in_calls WHERE function = \'SendEmail\' GROUP BY arguments HAVING n > 1');
        $this->assertSame([], $mails, 'a mail went out twice');
    }

    private function assertEachMailOnce(): void
    {
        $mails = $this->query('SELECT arguments FROM stand_in_calls WHERE function = \'SendEmail\'');
        $this->assertCount(self::LAST - self::FIRST + 1, $mails);
        $this->assertCount(self::LAST - self::FIRST + 1, array_unique(array_column($mails, 'arguments')));
        $this->assertSame([], $this->query('SELECT * FROM stand_in_calls WHERE function = \'logActivity\''));
        $twice = $this->query('SELECT id FROM tblhosting WHERE length(notes) - length(replace(notes, \'ready:\', \'\')) <> 6');
        $this->assertSame([], $twice, 'the notes have it once');
    }

    private function cursor(): int
    {
        return (int) ($this->query('SELECT max(`cursor`) FROM mod_vmline_feeds')[0][0] ?? 0);
    }

    private function ring(int $port, string $secret): int
    {
        $body = '{"type":"service.changed","timestamp":"2026-11-24T10:00:00Z","data":{"ref":"w1-3001"}}';
        $now = time();
        $handle = curl_init("http://127.0.0.1:$port/modules/servers/vmline/callback.php");
        curl_setopt_array($handle, [CURLOPT_POSTFIELDS => $body, CURLOPT_RETURNTRANSFER => true, CURLOPT_TIMEOUT => 30, CURLOPT_HTTPHEADER => [
            'Content-Type: application/json', 'webhook-id: msg_1', "webhook-timestamp: $now",
            'webhook-signature: ' . Webhook::sign('msg_1', $now, $body, $secret),
        ]]);
        curl_exec($handle);
        return (int) curl_getinfo($handle, CURLINFO_RESPONSE_CODE);
    }

    /** @return list<string> */
    private function cron(): array
    {
        return $this->command('\WHMCS\Module\Server\Vmline\Hooks::afterCronJob();');
    }

    /** @return list<string> */
    private function command(string $code): array
    {
        $start = 'require "init.php"; require_once "modules/servers/vmline/vmline.php"; require "modules/servers/vmline/hooks.php";';
        return [PHP_BINARY, '-r', "chdir('$this->root'); $start $code"];
    }

    private function php(string $code): void
    {
        // "use" must stand first in a file, so the setup is written to one.
        $file = "$this->root/run.php";
        $start = 'require_once __DIR__ . "/init.php"; require_once __DIR__ . "/modules/servers/vmline/vmline.php";'
            . 'require __DIR__ . "/modules/servers/vmline/hooks.php";';
        file_put_contents($file, "<?php\n$start\n$code");
        $this->assertSame(0, proc_close($this->start([PHP_BINARY, $file])));
    }

    /** @return resource */
    private function start(array $command)
    {
        $log = ['file', "$this->root/log", 'a'];
        return proc_open($command, [1 => $log, 2 => $log], $pipes, $this->root, $this->environment);
    }

    /** @return list<array<array-key,mixed>> */
    private function query(string $sql): array
    {
        $socket = (string) getenv('VMLINE_TEST_MYSQL');
        $database = $socket === '' ? new PDO("sqlite:$this->root/db.sqlite") : new PDO("mysql:unix_socket=$socket;dbname=whmcs", 'root');
        return $database->query($sql)->fetchAll();
    }

    private static function copyAll(string $from, string $to): void
    {
        mkdir($to);
        foreach (array_diff(scandir($from), ['.', '..']) as $name) {
            is_dir("$from/$name") ? self::copyAll("$from/$name", "$to/$name") : copy("$from/$name", "$to/$name");
        }
    }
}
