<?php

namespace Vmline\Tests;

use WHMCS\Module\Server\Vmline\Buttons;
use WHMCS\Module\Server\Vmline\ConfigOptions;

/**
 * What the tests of WHMCS's sample module check, and that names in tables are names of functions.
 */
final class ModuleTest extends WhmcsCase
{
    /**
     * As in the sample: with a server that cannot be reached, every function still returns what WHMCS expects.
     *
     * @dataProvider functions
     */
    public function testReturnType(string $function, string $type): void
    {
        $name = "vmline_$function";
        $this->assertTrue(function_exists($name), "$name does not exist");
        $this->server('http://127.0.0.1:1');
        $answer = $name($this->params());
        $this->assertSame($type, gettype($answer));
        if ($type === 'string' && $function !== 'Renew') {
            $this->assertStringContainsString('cannot be reached', $answer);
            $this->assertStringContainsString('Nothing was changed.', $answer);
        }
        $this->assertNoSecretIsKept();
    }

    /** @return iterable<string,list<string>> */
    public static function functions(): iterable
    {
        $strings = ['CreateAccount', 'SuspendAccount', 'UnsuspendAccount', 'TerminateAccount', 'ChangePackage', 'ChangePassword', 'Renew',
            ...array_values(Buttons::functions())];
        $arrays = ['MetaData', 'ConfigOptions', 'TestConnection', 'AdminCustomButtonArray', 'AdminServicesTabFields', 'ClientArea',
            'ClientAreaAllowedFunctions', 'ListAccounts'];
        foreach ($strings as $function) {
            yield $function => [$function, 'string'];
        }
        foreach ($arrays as $function) {
            yield $function => [$function, 'array'];
        }
        yield 'AdminServicesTabFieldsSave' => ['AdminServicesTabFieldsSave', 'NULL'];
    }

    public function testTestConnectionSaysWhyNot(): void
    {
        $this->server('http://127.0.0.1:1');
        $answer = vmline_TestConnection($this->params());
        $this->assertFalse($answer['success']);
        $this->assertStringContainsString('cannot be reached', $answer['error']);
    }

    public function testNamesInTablesAreFunctions(): void
    {
        $names = array_merge(
            array_column(ConfigOptions::all(), 'Loader'),
            array_map(static fn (string $f): string => "vmline_$f", vmline_ClientAreaAllowedFunctions()),
        );
        $this->assertCount(5 + 5, $names);
        foreach ($names as $name) {
            $this->assertTrue(function_exists($name), $name);
        }
    }

    /** The buttons of the incumbent, with its marks. */
    public function testButtonsThatAdminsKnow(): void
    {
        $this->assertEmpty(array_diff(['Start', 'Stop', 'Reinstall', 'VMSetDedicatedIp ->', 'VMClone ->', '**Set CPU RAM ->',
            '*Set System Disk Size ->', '*Set System Disk Bandwidth ->', '*Set Created Additional Disk ->', '*Set Additional Disk Size ->',
            '*Set Additional Disk Bandwidth ->', '*Set Network ->', '*Set Firewall ->', '**SetCloudinit ->', '**VMRemove', 'Set DNS records',
            'Redeploy', 'Reset status', 'Reboot', 'Migrate'], array_keys(vmline_AdminCustomButtonArray())));
    }

    public function testPasswordsNeverTravelInClear(): void
    {
        $this->server('http://gateway.example:8080');
        $this->assertStringContainsString('Passwords travel over TLS only', vmline_CreateAccount($this->params()));
    }

    public function testAProductAddonIsRefused(): void
    {
        $this->server('http://127.0.0.1:1');
        $this->assertStringContainsString('does not serve product addons', vmline_CreateAccount($this->params(['addonId' => 4])));
    }

    public function testTheMetadataIsJson(): void
    {
        $json = json_decode((string) file_get_contents(dirname(__DIR__) . '/modules/servers/vmline/whmcs.json'), true);
        $this->assertSame(['1.0', 'whmcs-servers', 'vmline', 'provisioning'], [$json['schema'], $json['type'], $json['name'], $json['category']]);
    }
}
