<?php

namespace Vmline\Tests;

use PHPUnit\Framework\TestCase;
use WHMCS\Database\Capsule;
use WHMCS\Module\Server\Vmline\Feed;
use WHMCS\Module\Server\Vmline\Gateway;
use WHMCS\Module\Server\Vmline\Reference;
use WHMCS\Module\Server\Vmline\Server;
use WHMCS\Module\Server\Vmline\Tables;

/**
 * A WHMCS with one server, one product and one customer's service, new for each test.
 */
abstract class WhmcsCase extends TestCase
{
    protected const SERVICE = 1001;
    protected const CLIENT = 7;
    protected const SERVER = 3;
    protected const PRODUCT = 5;

    /** Planted in every request that has a password; no log may have it. */
    protected const PASSWORD = 'pl4nted-R00t/"secret"';
    protected const SECRET = 'planted-server-secret-0123456789abcdef';

    protected function setUp(): void
    {
        Capsule::schema()->dropAllTables();
        stand_in_tables();
        Tables::forget();
        $GLOBALS['stand_in_hooks'] = [];
        require dirname(__DIR__) . '/modules/servers/vmline/hooks.php';
        $this->insert('tblconfiguration', ['setting' => 'SystemURL', 'value' => 'https://billing.example/']);
        $this->insert('tblemailtemplates', ['id' => 9, 'type' => 'product', 'name' => 'VPS Ready']);
        $options = ['dc1', 'tmpl', '', 'linked', '1', '1024', '', 'vm-{service_id}', '100', '10', '', '0', '', 'vmbr0', '0', '0', '1', '0',
            'debian', 'example.net', 'on', '', 'tmpl, ubuntu-26', ''];
        $names = array_map(static fn (int $i): string => "configoption$i", range(1, 24));
        $this->insert('tblproducts', ['id' => self::PRODUCT, 'name' => 'VPS', 'servertype' => 'vmline', 'welcomeemail' => 9]
            + array_combine($names, $options));
        $this->service(self::SERVICE);
    }

    /** @param array<string,mixed> $values */
    protected function insert(string $table, array $values): int
    {
        return (int) Capsule::table($table)->insertGetId($values);
    }

    protected function service(int $id): void
    {
        $this->insert('tblhosting', ['id' => $id, 'userid' => self::CLIENT, 'packageid' => self::PRODUCT, 'server' => self::SERVER,
            'password' => encrypt(self::PASSWORD), 'domainstatus' => 'Pending', 'notes' => 'a note of an admin']);
    }

    /** Points the server record at a gateway. An empty key id means that the secret is a bearer token. */
    protected function server(string $url, string $keyId = '', string $secret = self::SECRET, string $fingerprint = ''): void
    {
        $parts = parse_url($url);
        Capsule::table('tblservers')->where('id', self::SERVER)->delete();
        $this->insert('tblservers', ['id' => self::SERVER, 'hostname' => $parts['host'], 'port' => $parts['port'] ?? 443, 'type' => 'vmline',
            'secure' => $parts['scheme'] === 'https' ? 'on' : '', 'username' => $keyId, 'password' => encrypt($secret),
            'accesshash' => $fingerprint, 'disabled' => 0]);
    }

    /**
     * What WHMCS gives to a function of the module.
     *
     * @param array<string,mixed> $more
     * @return array<string,mixed>
     */
    protected function params(array $more = [], int $serviceId = self::SERVICE): array
    {
        $server = Capsule::table('tblservers')->where('id', self::SERVER)->first();
        $hosting = Capsule::table('tblhosting')->where('id', $serviceId)->first();
        $product = (array) Capsule::table('tblproducts')->where('id', self::PRODUCT)->first();
        return $more + array_filter($product, static fn (string $name): bool => str_starts_with($name, 'configoption'), ARRAY_FILTER_USE_KEY) + [
            'serviceid' => $serviceId, 'userid' => self::CLIENT, 'pid' => self::PRODUCT, 'serverid' => self::SERVER,
            'domain' => $hosting->domain, 'username' => $hosting->username, 'password' => decrypt($hosting->password),
            'customfields' => [], 'configoptions' => [], 'clientsdetails' => [], 'producttype' => 'server', 'moduletype' => 'vmline',
            'serverip' => '', 'serverhostname' => $server->hostname ?? '127.0.0.1', 'serverport' => $server->port ?? 1,
            'serversecure' => ($server->secure ?? '') === 'on', 'serverusername' => $server->username ?? '',
            'serverpassword' => $server ? decrypt($server->password) : self::SECRET, 'serveraccesshash' => $server->accesshash ?? '',
        ];
    }

    protected function ref(int $serviceId = self::SERVICE): string
    {
        return Reference::of($serviceId);
    }

    protected function hosting(int $serviceId = self::SERVICE): object
    {
        return Capsule::table('tblhosting')->where('id', $serviceId)->first();
    }

    protected function feed(): Feed
    {
        return new Feed(self::SERVER, Gateway::at(Server::fromId(self::SERVER)), static fn (): int => time());
    }

    /** @return list<array<array-key,mixed>> the arguments of each call */
    protected function calls(string $function): array
    {
        $rows = Capsule::table('stand_in_calls')->where('function', $function)->orderBy('id')->pluck('arguments')->all();
        return array_map(static fn (string $json): array => json_decode($json, true), $rows);
    }

    /**
     * A page of the client area as its browser gets it.
     *
     * @param array<string,mixed> $page
     */
    protected function render(array $page): string
    {
        require_once 'smarty4/bootstrap.php';
        $dir = sys_get_temp_dir() . '/vmline-smarty-' . bin2hex(random_bytes(6));
        $smarty = new \Smarty();
        $smarty->setCompileDir($dir);
        foreach ($page['templateVariables'] + ['token' => 't"oken'] as $name => $value) {
            $smarty->assign($name, $value);
        }
        try {
            return $smarty->fetch(dirname(__DIR__) . '/modules/servers/vmline/' . $page['tabOverviewModuleOutputTemplate']);
        } finally {
            array_map('unlink', glob("$dir/*"));
            rmdir($dir);
        }
    }

    /** Nothing that WHMCS keeps in clear may have a secret. */
    protected function assertNoSecretIsKept(): void
    {
        $kept = json_encode(Capsule::table('stand_in_calls')->get(), JSON_UNESCAPED_SLASHES);
        foreach (['mod_vmline_services', 'mod_vmline_outbox', 'mod_vmline_meta'] as $table) {
            $kept .= json_encode(Capsule::schema()->hasTable($table) ? Capsule::table($table)->get() : [], JSON_UNESCAPED_SLASHES);
        }
        foreach ([self::SECRET, 'pl4nted-R00t'] as $secret) {
            $this->assertStringNotContainsString($secret, $kept);
        }
    }
}
