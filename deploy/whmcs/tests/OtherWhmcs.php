<?php

namespace Vmline\Tests;

use PDO;
use WHMCS\Database\Capsule;
use WHMCS\Module\Server\Vmline\Reference;

/**
 * A WHMCS in a folder of its own, with a database file: for processes that run at the same time. It has the same
 * server and the same services as the one of the test, and has heard of nothing yet.
 */
final class OtherWhmcs
{
    /** Its database, where there is a MySQL server. */
    private const DATABASE = 'whmcs_other';

    private readonly string $root;

    /** @var array<string,string> */
    private readonly array $environment;

    /** @var list<resource> */
    private array $servers = [];

    /** @param list<int> $services */
    public function __construct(array $services)
    {
        $this->root = sys_get_temp_dir() . '/vmline-other-' . bin2hex(random_bytes(6));
        mkdir("$this->root/modules/servers", 0700, true);
        self::copy(__DIR__ . '/whmcs', "$this->root/stand-in");
        self::copy(dirname(__DIR__) . '/modules/servers/vmline', "$this->root/modules/servers/vmline");
        file_put_contents("$this->root/init.php", "<?php\nrequire_once __DIR__ . '/stand-in/init.php';\n");
        touch("$this->root/db.sqlite");
        $this->environment = ['VMLINE_TEST_DB' => "$this->root/db.sqlite", 'VMLINE_TEST_MYSQL' => (string) getenv('VMLINE_TEST_MYSQL'),
            'VMLINE_TEST_MYSQL_DB' => self::DATABASE, 'PATH' => (string) getenv('PATH')];
        $this->php('use WHMCS\Database\Capsule; Capsule::schema()->dropAllTables(); stand_in_tables();'
            . 'Capsule::table("tblservers")->insert(' . var_export((array) Capsule::table('tblservers')->first(), true) . ');'
            . 'Capsule::table("tblemailtemplates")->insert(["id" => 9, "name" => "VPS Ready"]);'
            . 'Capsule::table("tblproducts")->insert(["id" => 5, "servertype" => "vmline", "welcomeemail" => 9]);'
            . 'foreach (' . var_export($services, true) . ' as $id) {'
            . '    Capsule::table("tblhosting")->insert(["id" => $id, "packageid" => 5, "server" => 3, "userid" => 7]);'
            . '}'
            . '\WHMCS\Module\Server\Vmline\Meta::set("install_id", ' . var_export(Reference::install(), true) . ');');
    }

    /** Starts its web server and returns its address. */
    public function web(): string
    {
        $port = Port::free();
        $this->servers[] = $this->start([PHP_BINARY, '-S', "127.0.0.1:$port", '-t', $this->root]);
        Port::await($port);
        return "http://127.0.0.1:$port";
    }

    /** Runs PHP code as a page of this WHMCS does, and waits for its end. */
    public function php(string $code): void
    {
        $file = "$this->root/run-" . bin2hex(random_bytes(6)) . '.php';
        file_put_contents($file, '<?php require_once __DIR__ . "/init.php"; require_once __DIR__ . "/modules/servers/vmline/vmline.php";'
            . 'require __DIR__ . "/modules/servers/vmline/hooks.php";' . "\n$code");
        if (proc_close($this->start([PHP_BINARY, $file])) !== 0) {
            throw new \RuntimeException((string) file_get_contents("$this->root/log"));
        }
    }

    /**
     * Starts a run of the cron.
     *
     * @return resource
     */
    public function cron()
    {
        $start = 'require "init.php"; require_once "modules/servers/vmline/vmline.php"; require "modules/servers/vmline/hooks.php";';
        return $this->start([PHP_BINARY, '-r', "$start \\WHMCS\\Module\\Server\\Vmline\\Hooks::afterCronJob();"]);
    }

    /**
     * Starts a command in its folder.
     *
     * @param list<string> $command
     * @param array<string,string> $more environment
     * @return resource
     */
    public function start(array $command, array $more = [])
    {
        $log = ['file', "$this->root/log", 'a'];
        return proc_open($command, [1 => $log, 2 => $log], $pipes, $this->root, $more + $this->environment);
    }

    /** @return list<array<array-key,mixed>> */
    public function query(string $sql): array
    {
        $socket = (string) getenv('VMLINE_TEST_MYSQL');
        $database = $socket === '' ? new PDO("sqlite:$this->root/db.sqlite") : new PDO("mysql:unix_socket=$socket;dbname=" . self::DATABASE, 'root');
        $database->setAttribute(PDO::ATTR_TIMEOUT, 10); // while another process writes
        return $database->query($sql)->fetchAll();
    }

    /** What its processes have printed. */
    public function log(): string
    {
        return (string) file_get_contents("$this->root/log");
    }

    public function close(): void
    {
        foreach ($this->servers as $server) {
            proc_terminate($server, 9);
            proc_close($server);
        }
        exec('rm -r ' . escapeshellarg($this->root));
    }

    private static function copy(string $from, string $to): void
    {
        mkdir($to);
        foreach (array_diff(scandir($from), ['.', '..']) as $name) {
            is_dir("$from/$name") ? self::copy("$from/$name", "$to/$name") : copy("$from/$name", "$to/$name");
        }
    }
}
