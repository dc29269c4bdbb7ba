<?php

namespace Vmline\Tests;

use WHMCS\Database\Capsule;
use WHMCS\Module\Server\Vmline\Customer;
use WHMCS\Module\Server\Vmline\Poll;
use WHMCS\Module\Server\Vmline\ReverseDns;

/**
 * What a customer does with the machine in the client area, against the real gateway.
 */
final class RealCustomerTest extends RealCase
{
    protected function setUp(): void
    {
        parent::setUp();
        $_SERVER['REQUEST_METHOD'] = 'POST';
        $_POST = [];
    }

    protected function tearDown(): void
    {
        $_SERVER['REQUEST_METHOD'] = 'GET';
        $_POST = [];
    }

    public function testTheMachineOnItsPage(): void
    {
        $this->done('CreateAccount');
        $html = $this->render(vmline_ClientArea($this->params()));
        $this->assertStringContainsString('<dd data-field="power">Running</dd>', $html);
        $this->assertStringContainsString('<span data-field="doing">Creation</span>: <span data-field="progress">Done</span>', $html);
        $this->assertStringContainsString('<dd data-field="addresses">' . $this->hosting()->dedicatedip . '</dd>', $html);
        $this->assertStringContainsString('<dd data-field="reverse">vm-1001.example.net</dd>', $html);
        $this->assertMatchesRegularExpression('/data-verb="stop" >.*data-verb="reboot" >.*data-verb="reverse" >.*data-verb="reinstall" >/s', $html);
        $this->done('SuspendAccount');
        $html = $this->render(vmline_ClientArea($this->params()));
        $this->assertStringContainsString('<dd data-field="power">Suspended</dd>', $html);
        $this->assertSame(5, preg_match_all('/data-verb="\w+" disabled>/', $html), 'nothing can be done');
        $this->assertStringContainsString('suspended', vmline_CustomerStart($this->params()));
    }

    public function testTheProgressOfTheCreation(): void
    {
        $this->assertSame('success', vmline_CreateAccount($this->params()));
        $percents = [];
        do {
            [$status, $view] = Poll::answer(self::CLIENT, self::SERVICE);
            $this->assertSame([200, 'Creation'], [$status, $view['doing']]);
            $percents[] = $view['percent'];
        } while ($view['busy']);
        $this->assertSame('Done', $view['progress']);
        $sorted = $percents;
        sort($sorted);
        $this->assertSame($sorted, $percents, 'it goes forward');
        $this->assertSame(100, end($percents));
    }

    public function testPowerAndReinstallation(): void
    {
        $this->done('CreateAccount');
        $this->assertSame('stopped', $this->done('CustomerStop')['remote_status']);
        $this->assertSame('running', $this->done('CustomerStart')['remote_status']);
        $this->assertSame('running', $this->done('CustomerReboot')['remote_status']);
        $_POST = ['template' => 'ubuntu-26', 'confirm' => 'reinstall'];
        $machine = $this->done('CustomerReinstall');
        $this->assertSame(['ready', 'ubuntu-26'], [$machine['status'], $machine['package']['template']]);
        $_POST = ['template' => '', 'confirm' => 'reinstall'];
        $this->assertSame('ubuntu-26', $this->done('CustomerReinstall')['package']['template'], 'the present system');
        $this->assertSame('client:7', explode('/', $this->asClient(fn () => $this->done('CustomerReboot'))['operation']['requested_by'])[1]);
        $this->assertNoSecretIsKept();
    }

    public function testReverseDns(): void
    {
        $made = $this->done('CreateAccount', ['configoption8' => 'mine']);
        $address = $made['addresses'][0]['address'];
        $lookup = static fn (string $name, int $types): array => $name === 'shop.example.org' ? [['type' => 'A', 'ip' => $address]] : [];
        $choose = function (string $name) use ($lookup): string {
            return Customer::reverseDns($this->params(), new ReverseDns($lookup), 'POST', ['ptr_name' => $name]);
        };
        $this->assertStringContainsString('does not lead to this machine', $choose('other.example.org'));
        $this->assertSame('success', $choose('shop.example.org'));
        $this->ended();
        $machine = $this->machine();
        $this->assertSame(['ready', 'running', 'shop.example.org'], [$machine['status'], $machine['remote_status'], $machine['package']['dns']['ptr_name']]);
        $this->done('SetDnsRecords');
        $this->assertSame('shop.example.org', $this->reverse($address));
        $this->assertStringContainsString('<dd data-field="reverse">shop.example.org</dd>', $this->render(vmline_ClientArea($this->params())));

        $this->done('ChangePackage', ['configoption5' => '2', 'configoption8' => 'mine']);
        $this->assertSame('shop.example.org', $this->machine()['package']['dns']['ptr_name'], 'an upgrade keeps it');
        $this->assertSame('success', $choose(''));
        $this->ended();
        $this->done('SetDnsRecords');
        $this->assertSame('mine.example.net', $this->reverse($address));
        $this->assertSame(2, $this->machine()['package']['cores'], 'and it keeps the upgrade');
    }

    public function testAnotherCustomersService(): void
    {
        $this->done('CreateAccount');
        Capsule::table('tblhosting')->where('id', self::SERVICE)->update(['userid' => self::CLIENT + 1]);
        $this->assertSame(404, Poll::answer(self::CLIENT, self::SERVICE)[0]);
    }

    private function asClient(\Closure $act): array
    {
        $_SESSION = ['uid' => self::CLIENT];
        try {
            return $act();
        } finally {
            $_SESSION = [];
        }
    }
}
