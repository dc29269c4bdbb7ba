<?php

namespace Vmline\Tests;

use WHMCS\Module\Server\Vmline\Buttons;
use WHMCS\Module\Server\Vmline\Poll;
use WHMCS\Module\Server\Vmline\Record;

/**
 * What admins and customers see.
 */
final class AreaTest extends WhmcsCase
{
    private FakeGateway $fake;

    protected function setUp(): void
    {
        parent::setUp();
        $this->fake = new FakeGateway();
        $this->server($this->fake->url);
        $_SERVER['REQUEST_METHOD'] = 'GET';
        $_POST = [];
    }

    protected function tearDown(): void
    {
        $this->fake->close();
    }

    public function testBeforeTheOrder(): void
    {
        $fields = vmline_AdminServicesTabFields($this->params());
        $this->assertSame('None was ordered yet.', $fields['Machine']);
        $this->assertMatchesRegularExpression('/\'Adopt\'\)" title="">Adopt</', $fields['Possible now']);
        $this->assertSame(count(Buttons::verbs()) - 1, substr_count($fields['Possible now'], '" disabled>'), 'nothing else is possible');
        $this->assertStringContainsString('has not been ordered yet', $this->render(vmline_ClientArea($this->params())));
        $this->assertSame([], $this->fake->requests(), 'nobody was asked');
    }

    public function testTheServicesTab(): void
    {
        $service = States::parked($this->ref());
        $service['addresses'] = States::ready($this->ref())['addresses'];
        $service['remote_lock'] = 'backup';
        $service['queued'] = ['type' => 'suspend'];
        $service['drift'] = [['kind' => 'power', 'detail' => 'It <runs>.'], ['kind' => 'hardware', 'detail' => 'It has 3 cores.']];
        $service['actions'] = [
            ['type' => 'start', 'allowed' => false, 'reason' => 'The machine is not "ready".'],
            ['type' => 'retry', 'allowed' => true], ['type' => 'create', 'allowed' => true],
            ['type' => 'set_cpu_ram', 'allowed' => true, 'mark' => '**', 'continues' => true],
        ];
        $this->stands($service);
        $fields = vmline_AdminServicesTabFields($this->params());
        $this->assertSame(['creation', 'running', 'backup', 'pve2', '150'], [$fields['Local status'], $fields['Remote status'], $fields['Lock'],
            $fields['Node'], $fields['VM ID']]);
        $this->assertSame('2001:db8::7/64 of v6<br>203.0.113.7/24 of v4<br>203.0.113.8/24 of v4', $fields['Addresses']);
        $this->assertSame(['suspend', 'It &lt;runs&gt;.<br>It has 3 cores.'], [$fields['Next'], $fields['Differs']]);
        $this->assertStringContainsString('create parked', $fields['Operation']);
        $this->assertStringContainsString('Before set_ip: The pool &lt;v4&gt; is empty.', $fields['Operation']);
        $this->assertStringContainsString('Next: Add addresses to the pool.', $fields['Operation']);
        $this->assertStringContainsString('<td>creation</td><td>succeeded</td><td>2026-11-24 10:00:00</td><td>1.5 s</td>', $fields['Steps']);
        $this->assertMatchesRegularExpression('/\'Start\'\)" title="The machine is not &quot;ready&quot;\." disabled>Start</', $fields['Possible now']);
        $this->assertMatchesRegularExpression('/\'Retry\'\)" title="">Retry</', $fields['Possible now']);
        $this->assertMatchesRegularExpression('/\'SetCpuRam\'\)" title="">\*\*Set CPU RAM -&gt;</', $fields['Possible now']);
        $this->assertStringNotContainsString('\'Create\'', $fields['Possible now'], 'WHMCS has its own button for it');
        $this->assertStringContainsString('"Start":"The machine is not \u0022ready\u0022."', $fields['Possible now'], 'for WHMCS\'s own buttons');
    }

    public function testTheServicesTabWhileTheGatewayIsAway(): void
    {
        $this->stands(States::ready($this->ref()));
        $this->fake->answer([]);
        Record::change(self::SERVICE, ['state' => json_encode(States::ready($this->ref())), 'updated_at' => gmmktime(10, 0, 0, 11, 24, 2026)]);
        $this->server('http://127.0.0.1:1');
        $fields = vmline_AdminServicesTabFields($this->params());
        $this->assertStringContainsString('cannot be reached', $fields['Gateway']);
        $this->assertStringContainsString('Last known at 2026-11-24 10:00:00 UTC', $fields['Gateway']);
        $this->assertSame('ready', $fields['Local status']);
    }

    public function testThePageOfACustomer(): void
    {
        $service = States::ready($this->ref());
        $service['package'] = ['name' => 'vm"1', 'dns' => ['domain' => 'example.net', 'ptr' => true]];
        $service['actions'] = [['type' => 'stop', 'allowed' => true], ['type' => 'start', 'allowed' => false], ['type' => 'reinstall', 'allowed' => true],
            ['type' => 'change_package', 'allowed' => true]];
        $service['addresses'][] = ['address' => '<script>alert(1)</script>'];
        $this->stands($service, ['domain' => 'vm"1.example.net']);
        $html = $this->render(vmline_ClientArea($this->params()));
        $this->assertStringContainsString('<dd data-field="power">Running</dd>', $html);
        $this->assertStringContainsString('<dd data-field="reverse">vm&quot;1.example.net</dd>', $html);
        $this->assertStringContainsString('&lt;script&gt;alert(1)&lt;/script&gt;', $html);
        $this->assertStringNotContainsString('<script>alert', $html);
        $this->assertStringContainsString('data-verb="stop" >Stop<', $html);
        $this->assertStringContainsString('data-verb="start" disabled>Start<', $html);
        $this->assertStringContainsString('<option value="ubuntu-26">ubuntu-26</option>', $html);
        $this->assertStringContainsString('data-verb="reverse" >Change<', $html);
        $this->assertSame(5, substr_count($html, '<form'));
        $this->assertSame(5, substr_count($html, 'name="token" value="t&quot;oken"'), 'every form has the token');
        $this->assertStringNotContainsString('pve2', $html, 'nodes are the operator\'s business');
    }

    public function testTheProgressOfACreation(): void
    {
        $this->stands(States::service($this->ref(), 'set_ip', 'create', 'running'));
        [$status, $view] = Poll::answer(self::CLIENT, self::SERVICE);
        $this->assertSame([200, true, 50, 'In progress: Reserving addresses', 'Creation'], [$status, $view['busy'], $view['percent'], $view['progress'], $view['doing']]);
        $this->assertStringContainsString('style="width:50%"', $this->render(vmline_ClientArea($this->params())));
        foreach ([[0, self::SERVICE], [self::CLIENT + 1, self::SERVICE], [self::CLIENT, 4040]] as [$client, $service]) {
            $this->assertSame([404, ['error' => 'There is no such service.']], Poll::answer($client, $service));
        }
        $this->fake->answer(["GET /v1/services/{$this->ref()}" => [['raw' => '<html>']]]);
        $this->assertSame('accepted', Record::find(self::SERVICE)->operation_status);
        $this->assertSame('Waiting', Poll::answer(self::CLIENT, self::SERVICE)[1]['progress'], 'what is known without the gateway');
    }

    public function testButtonsOfACustomer(): void
    {
        $this->fake->answer(["POST /v1/services/{$this->ref()}/actions" => [['status' => 202, 'body' => ['id' => 'op']]]]);
        $this->assertSame('Use the buttons on the page.', vmline_CustomerStop($this->params()), 'a link does nothing');
        $_SERVER['REQUEST_METHOD'] = 'POST';
        $this->assertSame('success', vmline_CustomerStop($this->params()));
        $this->assertSame([['WHMCS.default']], $this->calls('check_token'));
        $this->assertSame(['type' => 'stop'], json_decode($this->fake->requests()[0]['body'], true));
        $_POST = ['template' => 'ubuntu-26'];
        $this->assertStringContainsString('tick the box', vmline_CustomerReinstall($this->params()));
        $_POST = ['template' => 'windows', 'confirm' => 'reinstall'];
        $this->assertSame('This template is not offered.', vmline_CustomerReinstall($this->params()));
        $_POST = ['template' => 'ubuntu-26', 'confirm' => 'reinstall'];
        $this->assertSame('success', vmline_CustomerReinstall($this->params()));
        $sent = json_decode($this->fake->requests()[1]['body'], true);
        $this->assertSame(['type' => 'reinstall', 'params' => ['template' => 'ubuntu-26', 'password' => self::PASSWORD]], $sent);
        $this->assertSame('ubuntu-26', Record::find(self::SERVICE)->template, 'the machine keeps it');
    }

    private function stands(array $service, array $more = []): void
    {
        Record::accepted(self::SERVICE, self::SERVER, ['id' => 'op', 'status' => 'accepted'], $more);
        $this->fake->answer(["GET /v1/services/{$this->ref()}" => [['body' => $service]]]);
    }
}
