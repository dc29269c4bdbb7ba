<?php

namespace Vmline\Tests;

use WHMCS\Module\Server\Vmline\Buttons;
use WHMCS\Module\Server\Vmline\Record;

/**
 * Every button of the admin area against the real gateway and the services behind it.
 */
final class RealButtonsTest extends RealCase
{
    /** Buttons for a machine in any power state, in the order of the creation. */
    private const STEPS = ['SetDedicatedIp', 'SetSystemDiskSize', 'SetSystemDiskBandwidth', 'SetCreatedAdditionalDisk', 'SetAdditionalDiskSize',
        'SetAdditionalDiskBandwidth', 'SetNetwork', 'SetFirewall'];

    /** Buttons for a machine that is stopped. */
    private const STOPPED = ['SetCpuRam', 'SetCloudinit'];

    public function testPower(): void
    {
        $this->done('CreateAccount');
        $this->assertSame('stopped', $this->done('Stop')['remote_status']);
        $this->assertSame('running', $this->done('Start')['remote_status']);
        $this->assertSame('running', $this->done('Reboot')['remote_status']);
        $this->assertSame('running', $this->done('Reset')['remote_status']);
        $this->assertSame('stopped', $this->done('Shutdown')['remote_status']);
        $this->assertSame('ready', $this->machine()['status']);
    }

    public function testStepsOfAMachineThatIsReady(): void
    {
        $this->done('CreateAccount');
        foreach (self::STEPS as $button) {
            $machine = $this->done($button);
            $this->assertSame(['ready', 'running'], [$machine['status'], $machine['remote_status']], $button);
        }
        foreach ([...self::STOPPED, 'Remove'] as $button) {
            $this->assertStringContainsString('needs the machine stopped (**), and it runs', ('vmline_' . $button)($this->params()), $button);
        }
        $this->done('Stop');
        foreach (self::STOPPED as $button) {
            $this->assertSame('stopped', $this->done($button)['remote_status'], $button);
        }
        $this->assertStringContainsString('the machine exists', vmline_Clone($this->params()));
    }

    public function testRemovedAndInstalledAnew(): void
    {
        $before = $this->done('CreateAccount');
        $this->done('Stop');
        $removed = $this->done('Remove');
        $this->assertSame(['removed', $before['vmid']], [$removed['status'], $removed['vmid']], 'its number stays its own');
        $this->enter(['template' => 'ubuntu-26']);
        $after = $this->done('Reinstall');
        $this->assertSame(['ready', 'running', 'ubuntu-26'], [$after['status'], $after['remote_status'], $after['package']['template']]);
        $this->assertSame([$before['vmid'], $before['addresses']], [$after['vmid'], $after['addresses']]);
        $this->assertSame('ubuntu-26', Record::find(self::SERVICE)->template, 'a change of the package keeps it');
        $this->assertSame('ready', $this->done('Reinstall')['status'], 'a machine that runs');
        $this->assertCount(1, $this->calls('SendEmail'));
        $this->assertNoSecretIsKept();
    }

    public function testDnsRecordsAtOnce(): void
    {
        $this->done('CreateAccount', ['configoption8' => 'records']); // no other test has a machine with this name
        $this->assertSame('ready', $this->done('SetDnsRecords')['status']);
        $this->assertSame('records.example.net', $this->reverse($this->hosting()->dedicatedip));
    }

    public function testMigrate(): void
    {
        $node = $this->done('CreateAccount')['node'];
        $this->assertStringContainsString('needs the parameter node', vmline_Migrate($this->params()));
        $other = $node === 'pve2' ? 'pve3' : 'pve2';
        $this->enter(['node' => $other]);
        $machine = $this->done('Migrate');
        $this->assertSame([$other, 'running'], [$machine['node'], $machine['remote_status']]);
    }

    /** A creation that waits for a person, and the buttons that a person has. */
    public function testACreationThatIsMended(): void
    {
        $impossible = ['configoption2' => 'no-such-template'];
        $parked = $this->done('CreateAccount', $impossible, 'parked');
        $fields = vmline_AdminServicesTabFields($this->params());
        $this->assertSame($parked['status'], $fields['Local status']);
        $this->assertStringContainsString('create parked', $fields['Operation']);
        $this->assertStringContainsString('no-such-template', $fields['Operation']);
        $this->assertMatchesRegularExpression('/Next: \w/', $fields['Operation']);
        $this->assertButtons($fields['Possible now'], ['Retry' => true, 'Cancel' => true, 'Resume' => true, 'ResetStatus' => true, 'Start' => false]);
        $told = $this->calls('TriggerNotificationEvent');
        $this->assertCount(1, $told);
        $this->assertStringContainsString('no-such-template', $told[0]['message']);
        $this->done('Retry', [], 'parked');
        $this->assertCount(2, $this->calls('TriggerNotificationEvent'), 'it is told again');
        $this->assertSame('ready', $this->done('CreateAccount')['status'], 'the same order with another template');
        $this->assertCount(1, $this->calls('SendEmail'));
    }

    /** A step of the creation that is forced goes on with the rest of it (->). */
    public function testACreationWhoseTemplateComesLater(): void
    {
        $this->assertSame('set_ip', $this->done('CreateAccount', ['configoption2' => 'late'], 'parked')['status']);
        $this->finished($this->proxmox('POST', '/nodes/pve1/qemu/9000/clone', ['newid' => 9100, 'name' => 'late', 'full' => 1]));
        $this->finished($this->proxmox('POST', '/nodes/pve1/qemu/9100/template'));
        $machine = $this->done('Clone');
        $this->assertSame(['ready', 'running', 'clone', 'create'], [$machine['status'], $machine['remote_status'], $machine['operation']['type'],
            $machine['operation']['goal']]);
        $this->assertCount(1, $this->calls('SendEmail'));
    }

    public function testACreationThatIsGivenUp(): void
    {
        $this->done('CreateAccount', ['configoption2' => 'no-such-template'], 'parked');
        $this->enter(['reason' => 'the customer changed his mind']);
        $this->assertSame('terminated', $this->done('Cancel')['status']);
    }

    public function testStatusesThatAPersonSets(): void
    {
        $this->done('CreateAccount');
        $this->assertStringContainsString('needs the parameter', vmline_ResetStatus($this->params()));
        $this->enter(['status' => 'set_network', 'reason' => 'the firewall was changed by hand']);
        $this->assertSame('set_network', $this->done('ResetStatus')['status']);
        $this->assertSame('ready', $this->done('SetFirewall')['status'], 'the chain goes on (->)');
        $this->enter(['status' => 'set_network', 'reason' => 'once more']);
        $this->done('ResetStatus');
        $this->enter(['status' => 'set_firewall']);
        $this->assertSame('ready', $this->done('Resume')['status']);
        $this->enter(['status' => 'set_network', 'reason' => 'and once more']);
        $this->done('ResetStatus');
        $this->assertSame('ready', $this->done('Redeploy')['status']);
    }

    public function testAdopt(): void
    {
        $this->finished($this->proxmox('POST', '/nodes/pve1/qemu/9000/clone', ['newid' => 777, 'name' => 'old-machine', 'full' => 0]));
        $this->enter(['vmid' => '777']);
        $machine = $this->done('Adopt');
        $this->assertSame(['ready', 777], [$machine['status'], $machine['vmid']]);
        $this->assertSame([], $this->calls('SendEmail'), 'its customer has it already');
        $this->assertSame('terminated', $this->done('TerminateAccount')['status']);
    }

    public function testOnlyWhatIsPossibleIsOn(): void
    {
        $this->done('CreateAccount');
        $on = ['Stop', 'Reboot', 'Reinstall', 'SetDedicatedIp', 'SetSystemDiskSize', 'SetFirewall', 'SetDnsRecords', 'Migrate'];
        $off = ['Clone', 'SetCpuRam', 'SetCloudinit', 'Remove', 'Redeploy', 'Retry', 'Resume', 'Cancel', 'Adopt'];
        $this->assertButtons(
            vmline_AdminServicesTabFields($this->params())['Possible now'],
            array_fill_keys($on, true) + array_fill_keys($off, false)
        );
        $this->done('SuspendAccount');
        $suspended = vmline_AdminServicesTabFields($this->params())['Possible now'];
        $this->assertButtons($suspended, ['Start' => false, 'Reinstall' => false, 'SetDnsRecords' => true]);
        $this->assertSame(count(Buttons::verbs()), substr_count($suspended, '<button'));
    }

    /** @param array<string,bool> $expected function => whether it can be pressed */
    private function assertButtons(string $html, array $expected): void
    {
        foreach ($expected as $function => $on) {
            $this->assertMatchesRegularExpression("/'$function'\\)\" title=\"" . ($on ? '">' : '[^"]+" disabled>') . '/', $html, $function);
        }
    }

    /** What an admin enters on the services tab and saves. */
    private function enter(array $values): void
    {
        $_REQUEST['modulefields'] = array_combine(array_map(static fn (string $name): string => "vmline_$name", array_keys($values)), $values);
        vmline_AdminServicesTabFieldsSave($this->params());
        unset($_REQUEST['modulefields']);
    }
}
