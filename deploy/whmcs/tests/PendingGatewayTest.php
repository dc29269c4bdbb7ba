<?php

namespace Vmline\Tests;

use WHMCS\Database\Capsule;
use WHMCS\Module\Server\Vmline\Gateway;
use WHMCS\Module\Server\Vmline\Server;

/**
 * The module against those parts of the real gateway that signed requests, actions and the feed need.
 *
 * @group pending-gateway
 */
final class PendingGatewayTest extends WhmcsCase
{
    private const PATIENCE = 30;

    protected function setUp(): void
    {
        if (getenv('VMLINE_KEY_ID') === false) {
            $this->markTestSkipped('no gateway with a signing key: run go test ./services/internal/whmcs');
        }
        parent::setUp();
        $this->server(getenv('VMLINE_URL'), getenv('VMLINE_KEY_ID'), getenv('VMLINE_SECRET'), getenv('VMLINE_FINGERPRINT'));
    }

    public function testTestConnection(): void
    {
        $this->assertSame(['success' => true, 'error' => ''], vmline_TestConnection($this->params()));
        $this->server(getenv('VMLINE_URL'), getenv('VMLINE_KEY_ID'), 'another secret', getenv('VMLINE_FINGERPRINT'));
        $this->assertFalse(vmline_TestConnection($this->params())['success']);
        $this->server(getenv('VMLINE_URL'), 'another-key', getenv('VMLINE_SECRET'), getenv('VMLINE_FINGERPRINT'));
        $this->assertFalse(vmline_TestConnection($this->params())['success']);
    }

    public function testAClockThatIsWrong(): void
    {
        $gateway = new Gateway(Server::fromId(self::SERVER), static fn (): int => time() - 900);
        $this->expectExceptionMessageMatches('/clock of this server differs from the gateway\'s by -90\d seconds/');
        $gateway->get('/v1/version');
    }

    public function testLoaders(): void
    {
        $this->assertArrayHasKey('dc1', vmline_ClusterLoader($this->params()));
        $this->assertArrayHasKey('tmpl', vmline_TemplateLoader($this->params()));
        $this->assertArrayHasKey('shared1', vmline_StorageLoader($this->params()));
        $this->assertStringContainsString('v4', vmline_BridgeLoader($this->params())['vmbr0']);
    }

    /** The whole life of a service, told by the feed alone. */
    public function testALifeByTheFeed(): void
    {
        $this->assertSame('success', vmline_CreateAccount($this->params()));
        $this->pullUntil('ready');
        $address = $this->hosting()->dedicatedip;
        $this->assertNotSame('', $address);
        $this->assertCount(1, $this->calls('SendEmail'));
        $power = ['SuspendAccount' => 'stopped', 'UnsuspendAccount' => 'running', 'Stop' => 'stopped', 'Start' => 'running', 'Reboot' => 'running'];
        foreach ($power as $function => $expected) {
            $this->assertSame('success', ('vmline_' . $function)($this->params()), $function);
            $this->pullUntil(null, $expected);
        }
        $this->assertSame('success', vmline_ChangePackage($this->params(['configoption5' => '2'])));
        $this->pullUntil('ready');
        $this->assertSame(2, Gateway::at(Server::fromId(self::SERVER))->service($this->ref())['package']['cores']);
        $this->assertSame('success', vmline_ChangePassword($this->params(['password' => 'pl4nted-R00t-2'])));
        $this->pullUntil('ready');
        $this->assertSame('success', vmline_Reinstall($this->params()));
        $this->pullUntil('ready');
        $this->assertSame($address, $this->hosting()->dedicatedip);
        $this->assertCount(1, $this->calls('SendEmail'), 'the ready mail goes out once');
        $this->assertSame('success', vmline_TerminateAccount($this->params()));
        $this->pullUntil('terminated');
        $this->assertSame('', $this->hosting()->dedicatedip);
        $this->assertStringContainsString($address, $this->hosting()->notes);
        $this->assertNoSecretIsKept();
        $this->assertStringNotContainsString(getenv('VMLINE_SECRET'), (string) json_encode($this->calls('logModuleCall')));
    }

    public function testASmallerDiskIsRefusedBeforeItIsPaid(): void
    {
        $this->assertSame('success', vmline_CreateAccount($this->params()));
        $this->pullUntil('ready');
        $this->insert('tblproductconfigoptions', ['id' => 4, 'optionname' => 'disk', 'optiontype' => '4']);
        $_REQUEST['configoption'] = [4 => '5'];
        $errors = run_hook('ShoppingCartValidateUpgrade', ['id' => self::SERVICE])[0];
        unset($_REQUEST['configoption']);
        $this->assertCount(1, $errors);
    }

    public function testTheTabShowsTheButtonsOfTheGateway(): void
    {
        $this->assertSame('success', vmline_CreateAccount($this->params()));
        $this->pullUntil('ready');
        $html = vmline_AdminServicesTabFields($this->params())['Possible now'];
        $this->assertMatchesRegularExpression('/\'Stop\'\)" title="">Stop</', $html);
        $this->assertMatchesRegularExpression('/\'Start\'\)" title="[^"]+" disabled>Start</', $html);
    }

    private function pullUntil(?string $status, ?string $power = null): void
    {
        for ($end = time() + self::PATIENCE; time() < $end; usleep(100000)) {
            $this->feed()->pull();
            $row = Capsule::table('mod_vmline_services')->where('serviceid', self::SERVICE)->first();
            $state = (array) json_decode((string) $row->state, true);
            $ended = $row->operation_status === 'succeeded';
            if ($ended && ($status ?? $state['status']) === $state['status'] && ($power ?? $state['remote_status']) === $state['remote_status']) {
                return;
            }
        }
        $this->fail("not $status $power but $row->operation_status, $row->state");
    }
}
