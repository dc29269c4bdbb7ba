<?php

namespace Vmline\Tests;

use WHMCS\Database\Capsule;
use WHMCS\Module\Server\Vmline\Outbox;
use WHMCS\Module\Server\Vmline\Record;
use WHMCS\Module\Server\Vmline\Reference;

/**
 * Services from their order to their end, against the real gateway: what WHMCS asks for, and what the feed brings back.
 */
final class RealLifeTest extends RealCase
{
    public function testFromTheOrderToTheTermination(): void
    {
        $this->assertSame('success', vmline_CreateAccount($this->params()));
        $this->assertSame('success', vmline_CreateAccount($this->params()), 'a repetition is harmless');
        $this->ended();
        $service = $this->machine();
        $this->assertSame(['ready', 'vm-1001', 'running'], [$service['status'], $service['package']['name'], $service['remote_status']]);
        $this->assertArrayNotHasKey('password', $service['package']['cloud_init']);
        $this->assertSame('success', vmline_CreateAccount($this->params()), 'so is one when it is ready');

        $address = $service['addresses'][0]['address'];
        $this->assertSame([$address, 'debian', 'vm-1001.example.net'], [$this->hosting()->dedicatedip, $this->hosting()->username, $this->hosting()->domain]);
        $this->assertStringContainsString("ready: VM $service[vmid] on $service[node], $address", $this->hosting()->notes);
        $this->assertSame([['messagename' => 'VPS Ready', 'id' => self::SERVICE]], $this->calls('SendEmail'));

        $list = vmline_ListAccounts($this->params());
        $this->assertContains('vm-1001.example.net', array_column($list['accounts'], 'domain'));
        vmline_UsageUpdate($this->params());
        $this->assertSame('10240', (string) $this->hosting()->disklimit);

        $terminated = $this->done('TerminateAccount');
        $this->assertSame('terminated', $terminated['status']);
        $this->assertSame('success', vmline_TerminateAccount($this->params()), 'terminate twice');
        $this->assertSame('', $this->hosting()->dedicatedip);
        $this->assertMatchesRegularExpression("/\n\d{4}-\d\d-\d\d terminated, released $address$/", $this->hosting()->notes);
        $this->assertNoSecretIsKept();
        $logged = (string) json_encode($this->calls('logModuleCall'), JSON_UNESCAPED_SLASHES);
        $this->assertStringNotContainsString(getenv('VMLINE_SECRET_OPERATE'), $logged);
    }

    public function testWhatWhmcsDoesToAMachine(): void
    {
        $ready = $this->done('CreateAccount');
        $this->assertSame('suspended', $this->done('SuspendAccount', ['suspendreason' => 'Overdue'])['status']);
        $this->assertSame('success', vmline_SuspendAccount($this->params()), 'suspend twice');
        $this->assertStringContainsString('suspended', vmline_Start($this->params()), 'nobody starts a suspended machine');
        $this->assertSame(['ready', 'running'], $this->state($this->done('UnsuspendAccount')));
        $bigger = ['configoption5' => '2', 'configoption6' => '2048', 'configoptions' => ['Disk' => '12 GB']];
        $changed = $this->done('ChangePackage', $bigger);
        $this->assertSame([2, 2048, 12], [$changed['package']['cores'], $changed['package']['memory_mib'], $changed['package']['system_disk']['size_gb']]);
        $this->assertSame([2, 2048], [(int) $this->hardware()['cores'], (int) $this->hardware()['memory']]);
        $this->assertSame(['ready', 'running'], $this->state($changed));
        $this->done('ChangePassword', ['password' => self::PASSWORD . '2']);
        $this->assertSame('success', vmline_Renew($this->params()));
        $this->assertSame($ready['addresses'][0]['address'], $this->hosting()->dedicatedip, 'it kept its address');
        $this->assertCount(1, $this->calls('SendEmail'), 'the ready mail goes out once');
        $this->assertSame([], $this->calls('TriggerNotificationEvent'));
        $this->assertNoSecretIsKept();
    }

    public function testOrderedAnewAfterItsTermination(): void
    {
        foreach ([1, 2] as $time) {
            $uids[] = $this->done('CreateAccount')['uid'];
            $this->done('TerminateAccount');
        }
        $this->assertNotSame($uids[0], $uids[1]);
        $this->assertCount(2, $this->calls('SendEmail'), 'once for each machine');
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
        $this->ended('refused');
        $this->assertSame([], $this->calls('TriggerNotificationEvent'), 'no event tells of it');
        Capsule::table('mod_vmline_outbox')->update(['due_at' => 0]); // a minute later
        Outbox::flush(self::SERVER, $this->gateway(), time());
        Outbox::flush(self::SERVER, $this->gateway(), time());
        $told = $this->calls('TriggerNotificationEvent');
        $this->assertSame(['create of service 1001 was refused'], array_column($told, 'title'));
        $this->assertStringContainsString('nowhere', $told[0]['message']);
        $this->assertSame('refused', Record::find(self::SERVICE)->operation_status);
        $this->assertSame('ready', $this->done('CreateAccount')['status'], 'once it is corrected');
    }

    public function testEveryFieldOfAPackageIsKnownToTheGateway(): void
    {
        $rules = "in ACCEPT tcp 80,443 from 192.0.2.0/24 # web\nin ACCEPT SSH";
        $more = "onboot = yes\nreadiness = running\nanti_affinity = yes\nnetwork_model = virtio\nfirewall_policy_in = drop\nfirewall_dhcp = yes\n"
            . "firewall_ndp = yes\nfirewall_mac_filter = yes\nfirewall_ip_filter = yes\nfirewall_router_advertisement = no\n"
            . "firewall_log_level_in = nolog\nfirewall_log_level_out = nolog\ndns_servers = 192.0.2.53, 192.0.2.54\nsearch_domain = example.net\n"
            . "dns_ttl = 300\ndns_ptr_name = shop.example.org\nsystem_disk_read_mbps = 100\nsystem_disk_write_mbps = 90\nsystem_disk_read_iops = 80\n"
            . "system_disk_write_iops = 70\nadditional_disk_read_mbps = 60\nadditional_disk_write_mbps = 50\nadditional_disk_read_iops = 40\n"
            . "additional_disk_write_iops = 30\n"
            . "ssh_keys = ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBAWxLQfcWCGt6g8EJlOzqpoxC1XUvYNM3ZvDUAVKxqO customer@example.net";
        $package = $this->done('CreateAccount', ['configoption12' => '5', 'configoption13' => 'shared1', 'configoption16' => '12.5',
            'configoption18' => '1', 'configoption22' => $rules, 'configoption24' => $more, 'configoption7' => 'host',
            'configoptions' => ['CPU' => '2 cores', 'RAM' => '2 GB']])['package'];
        $this->assertSame([2, 2048, 'host', true, true], [$package['cores'], $package['memory_mib'], $package['cpu_type'], $package['onboot'],
            $package['anti_affinity']]);
        $this->assertSame(['shared1', 5, 60, 50, 40, 30], array_values($package['additional_disk']));
        $this->assertSame(12.5, $package['network']['rate_mbps']);
        $this->assertSame('shop.example.org', $package['dns']['ptr_name']);
        $this->assertCount(2, $package['firewall']['rules']);
        $this->assertSame(Reference::install() . ':7', $package['customer']);
    }

    public function testManyOrdersAtOnce(): void
    {
        foreach (range(1, 10) as $i) {
            $this->service(2000 + $i);
            $this->assertSame('success', vmline_CreateAccount($this->params([], 2000 + $i)));
        }
        foreach (range(1, 10) as $i) {
            $this->ended('succeeded', 2000 + $i);
            $addresses[] = $this->hosting(2000 + $i)->dedicatedip;
        }
        $this->assertCount(10, array_unique(array_filter($addresses)));
        $this->assertCount(10, $this->calls('SendEmail'));
    }

    /** @return list<string> */
    private function state(array $service): array
    {
        return [$service['status'], $service['remote_status']];
    }
}
