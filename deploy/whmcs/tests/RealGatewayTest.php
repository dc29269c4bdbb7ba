<?php

namespace Vmline\Tests;

use WHMCS\Database\Capsule;
use WHMCS\Module\Server\Vmline\Applier;
use WHMCS\Module\Server\Vmline\Gateway;
use WHMCS\Module\Server\Vmline\Meta;
use WHMCS\Module\Server\Vmline\Outbox;
use WHMCS\Module\Server\Vmline\Pin;
use WHMCS\Module\Server\Vmline\Record;
use WHMCS\Module\Server\Vmline\Reference;
use WHMCS\Module\Server\Vmline\Server;

/**
 * The module against the real gateway with every service behind it. services/internal/whmcs starts them and tells
 * where they are.
 */
final class RealGatewayTest extends WhmcsCase
{
    private const PATIENCE = 30;

    protected function setUp(): void
    {
        if (getenv('VMLINE_URL') === false) {
            $this->markTestSkipped('no gateway: run go test ./services/internal/whmcs');
        }
        parent::setUp();
        $this->server(getenv('VMLINE_URL'), '', getenv('VMLINE_TOKEN'), getenv('VMLINE_FINGERPRINT'));
    }

    public function testFromTheOrderToTheTermination(): void
    {
        $this->assertSame('success', vmline_CreateAccount($this->params()));
        $this->assertSame('success', vmline_CreateAccount($this->params()), 'a repetition is harmless');
        $service = $this->await('ready');
        $this->assertSame(['vm-1001', 'running'], [$service['package']['name'], $service['remote_status']]);
        $this->assertSame(10, $service['package']['system_disk']['size_gb']);
        $this->assertArrayNotHasKey('password', $service['package']['cloud_init']);
        $this->assertSame('success', vmline_CreateAccount($this->params()), 'so is one when it is ready');

        $this->apply($service);
        $this->assertSame($service['addresses'][0]['address'], $this->hosting()->dedicatedip);
        $this->assertSame(['debian', 'vm-1001.example.net'], [$this->hosting()->username, $this->hosting()->domain]);
        $fields = vmline_AdminServicesTabFields($this->params());
        $this->assertSame(['ready', 'running', 'none'], [$fields['Local status'], $fields['Remote status'], $fields['Lock']]);
        $this->assertStringContainsString("{$service['addresses'][0]['address']}/16 of v4", $fields['Addresses']);
        $this->assertStringContainsString('create succeeded', $fields['Operation']);
        $this->assertSame(15, substr_count($fields['Steps'], '<td>succeeded</td>'));

        $list = vmline_ListAccounts($this->params());
        $this->assertContains('vm-1001.example.net', array_column($list['accounts'], 'domain'));
        vmline_UsageUpdate($this->params());
        $this->assertSame('10240', (string) $this->hosting()->disklimit);

        $this->assertSame('success', vmline_TerminateAccount($this->params()));
        $terminated = $this->await('terminated');
        $this->assertSame('success', vmline_TerminateAccount($this->params()), 'terminate twice');
        $this->apply($terminated);
        $this->assertSame('', $this->hosting()->dedicatedip);
        $this->assertStringContainsString("terminated, released {$service['addresses'][0]['address']}", $this->hosting()->notes);
        $this->assertNoSecretIsKept();
        $this->assertStringNotContainsString(getenv('VMLINE_TOKEN'), (string) json_encode($this->calls('logModuleCall')));
    }

    public function testOrderedAnewAfterItsTermination(): void
    {
        foreach ([1, 2] as $time) {
            $this->assertSame('success', vmline_CreateAccount($this->params()));
            $uids[] = $this->await('ready')['uid'];
            $this->assertSame('success', vmline_TerminateAccount($this->params()));
            $this->apply($this->await('terminated'));
        }
        $this->assertNotSame($uids[0], $uids[1]);
    }

    public function testTerminateOfWhatNeverWas(): void
    {
        $this->assertSame('success', vmline_TerminateAccount($this->params()));
    }

    public function testAPackageThatCannotBe(): void
    {
        $said = vmline_CreateAccount($this->params(['configoption14' => 'not a bridge', 'configoption5' => '9999']));
        $this->assertStringContainsString('network.bridge: expected', $said);
        $this->assertStringContainsString('cores: expected number <= 512', $said);
        $said = vmline_CreateAccount($this->params(['configoption11' => 'local-lvm']));
        $this->assertStringContainsString('set clone_type to full or leave the storage out', $said);
    }

    public function testAnOrderThatIsRefusedLater(): void
    {
        $this->assertSame('success', vmline_CreateAccount($this->params(['configoption1' => 'nowhere'])));
        $record = Record::find(self::SERVICE);
        $gateway = Gateway::at(Server::fromId(self::SERVER));
        for ($end = time() + self::PATIENCE; $record->operation_status !== 'refused' && time() < $end;) {
            $gateway->get("/v1/operations/$record->operation", ['wait' => 5]);
            Capsule::table('mod_vmline_outbox')->update(['due_at' => 0]); // a minute later
            Outbox::flush(self::SERVER, $gateway, time());
            $record = Record::find(self::SERVICE);
        }
        $this->assertSame('refused', $record->operation_status);
        Outbox::flush(self::SERVER, $gateway, time());
        $this->assertStringContainsString('nowhere', $this->calls('TriggerNotificationEvent')[0]['message']);
        $this->assertSame('success', vmline_CreateAccount($this->params()), 'once it is corrected');
        $this->await('ready');
    }

    public function testEveryFieldOfAPackageIsKnownToTheGateway(): void
    {
        $rules = "in ACCEPT tcp 80,443 from 192.0.2.0/24 # web\nin ACCEPT SSH";
        $more = "onboot = yes\nreadiness = running\nanti_affinity = yes\nnetwork_model = virtio\nfirewall_policy_in = drop\nfirewall_dhcp = yes\n"
            . "firewall_ndp = yes\nfirewall_mac_filter = yes\nfirewall_ip_filter = yes\nfirewall_router_advertisement = no\n"
            . "firewall_log_level_in = nolog\nfirewall_log_level_out = nolog\ndns_servers = 192.0.2.53, 192.0.2.54\nsearch_domain = example.net\n"
            . "dns_ttl = 300\nsystem_disk_read_mbps = 100\nsystem_disk_write_mbps = 90\nsystem_disk_read_iops = 80\nsystem_disk_write_iops = 70\n"
            . "additional_disk_read_mbps = 60\nadditional_disk_write_mbps = 50\nadditional_disk_read_iops = 40\nadditional_disk_write_iops = 30\n"
            . "ssh_keys = ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBAWxLQfcWCGt6g8EJlOzqpoxC1XUvYNM3ZvDUAVKxqO customer@example.net";
        $params = $this->params(['configoption12' => '5', 'configoption13' => 'shared1', 'configoption16' => '12.5', 'configoption18' => '1',
            'configoption22' => $rules, 'configoption24' => $more, 'configoption7' => 'host', 'configoptions' => ['CPU' => '2 cores', 'RAM' => '2 GB']]);
        $this->assertSame('success', vmline_CreateAccount($params));
        $package = $this->await('ready')['package'];
        $this->assertSame([2, 2048, 'host', true, true], [$package['cores'], $package['memory_mib'], $package['cpu_type'], $package['onboot'],
            $package['anti_affinity']]);
        $this->assertSame(['shared1', 5, 60, 50, 40, 30], array_values($package['additional_disk']));
        $this->assertSame(12.5, $package['network']['rate_mbps']);
        $this->assertCount(2, $package['firewall']['rules']);
        $this->assertSame(Reference::install() . ':7', $package['customer']);
    }

    public function testTheFingerprintOfTheCertificate(): void
    {
        $server = static fn (): Server => Server::fromId(self::SERVER);
        $key = (new Pin($server()))->publicKey(5);
        $this->assertStringStartsWith('sha256//', $key);
        $this->assertSame($key, Meta::get('pin:' . substr(getenv('VMLINE_FINGERPRINT'), strlen('SHA256:'))), 'it is looked for once');
        $colons = strtoupper(implode(':', str_split(substr(getenv('VMLINE_FINGERPRINT'), strlen('SHA256:')), 2)));
        foreach ([$key, $colons, strtolower($colons)] as $form) {
            Capsule::table('tblservers')->update(['accesshash' => $form]);
            $this->assertTrue(vmline_ListAccounts($this->params())['success'], $form);
        }
    }

    /** @dataProvider wrongServers */
    public function testAServerThatIsNotTheGatewayGetsNothing(string $accessHash, string $message): void
    {
        $wanted = hash('sha256', 'another certificate');
        if ($accessHash === 'remembered') { // the certificate has changed since its key was remembered
            $accessHash = $wanted;
            Meta::set("pin:$wanted", 'sha256//' . base64_encode(hash('sha256', 'another key', true)));
        }
        Capsule::table('tblservers')->update(['accesshash' => $accessHash]);
        $said = vmline_CreateAccount($this->params());
        $this->assertStringContainsString($message, $said);
        $this->assertStringContainsString('Nothing was changed.', $said);
        $this->assertSame(404, $this->statusOf(self::SERVICE));
    }

    /** @return iterable<string,list<string>> */
    public static function wrongServers(): iterable
    {
        yield 'another fingerprint' => [str_repeat('ab', 32), 'is not the gateway whose fingerprint'];
        yield 'another key' => ['sha256//' . base64_encode(str_repeat('x', 32)), 'is not the gateway whose fingerprint'];
        yield 'the key that was remembered is another' => ['remembered', 'is not the gateway whose fingerprint'];
        yield 'no fingerprint' => ['', 'signed by nobody whom this machine trusts'];
        yield 'no fingerprint at all' => ['my password', 'not a SHA-256 fingerprint'];
    }

    public function testAWrongTokenIsRefused(): void
    {
        $this->server(getenv('VMLINE_URL'), '', 'vps_wrong', getenv('VMLINE_FINGERPRINT'));
        $this->assertStringContainsString('token is missing or wrong', vmline_CreateAccount($this->params()));
    }

    public function testManyOrdersAtOnce(): void
    {
        foreach (range(1, 10) as $i) {
            $this->service(2000 + $i);
            $this->assertSame('success', vmline_CreateAccount($this->params([], 2000 + $i)));
        }
        $addresses = array_map(fn (int $i): string => $this->await('ready', 2000 + $i)['addresses'][0]['address'], range(1, 10));
        $this->assertCount(10, array_unique($addresses));
    }

    /** @return array<string,mixed> the service once it has the status */
    private function await(string $status, int $serviceId = self::SERVICE): array
    {
        $gateway = Gateway::at(Server::fromId(self::SERVER));
        $seen = [];
        for ($end = time() + self::PATIENCE; time() < $end; usleep(50000)) {
            try {
                $seen = $gateway->service($this->ref($serviceId));
            } catch (\WHMCS\Module\Server\Vmline\Refusal $refusal) {
                $this->assertSame(404, $refusal->status);
                continue;
            }
            if ($seen['status'] === $status && $seen['operation']['status'] === 'succeeded') {
                return $seen;
            }
        }
        $this->fail("not $status but " . json_encode($seen));
    }

    private function statusOf(int $serviceId): int
    {
        $this->server(getenv('VMLINE_URL'), '', getenv('VMLINE_TOKEN'), getenv('VMLINE_FINGERPRINT'));
        try {
            Gateway::at(Server::fromId(self::SERVER))->service($this->ref($serviceId));
            return 200;
        } catch (\WHMCS\Module\Server\Vmline\Refusal $refusal) {
            return $refusal->status;
        }
    }

    private function apply(array $service): void
    {
        Capsule::connection()->transaction(static fn () => Applier::apply(self::SERVER, $service, 0, time()));
    }
}
