<?php

namespace Vmline\Tests;

use WHMCS\Module\Server\Vmline\Commands;
use WHMCS\Module\Server\Vmline\Customer;
use WHMCS\Module\Server\Vmline\PackageBuilder;
use WHMCS\Module\Server\Vmline\Record;
use WHMCS\Module\Server\Vmline\ReverseDns;

/**
 * The name that a customer chooses for the reverse records.
 */
final class ReverseDnsTest extends WhmcsCase
{
    private FakeGateway $fake;

    /** @var array<string,mixed> */
    private array $service;

    protected function setUp(): void
    {
        parent::setUp();
        $this->fake = new FakeGateway();
        $this->server($this->fake->url);
        $this->service = States::ready($this->ref());
        $this->service['package'] = ['name' => 'vm-1001', 'cores' => 2, 'dns' => ['domain' => 'Example.net.', 'ptr' => true],
            'cloud_init' => ['user' => 'debian'], 'firewall' => new \stdClass()];
        Record::accepted(self::SERVICE, self::SERVER, ['id' => 'op'], ['name' => 'vm-1001']);
    }

    protected function tearDown(): void
    {
        $this->fake->close();
    }

    public function testANameThatLeadsToTheMachine(): void
    {
        $this->assertSame('success', $this->choose(' Shop.Example.ORG. '));
        $sent = json_decode($this->fake->requests('PUT')[0]['body'], true);
        $this->assertSame(['domain' => 'Example.net.', 'ptr' => true, 'ptr_name' => 'shop.example.org'], $sent['dns']);
        $this->assertSame([2, self::PASSWORD], [$sent['cores'], $sent['cloud_init']['password']], 'nothing else is changed');
        $this->assertArrayNotHasKey('firewall', $sent, 'an empty object must not become a list');
        $chosen = Commands::chosen(Record::find(self::SERVICE));
        $this->assertSame('shop.example.org', PackageBuilder::build($this->params(), $chosen)['dns']['ptr_name'], 'a later change keeps it');
        $this->assertArrayNotHasKey('ptr_name', PackageBuilder::build($this->params(['configoption21' => '']), $chosen)['dns'], 'unless there is none');
        $this->assertSame([['WHMCS.default']], $this->calls('check_token'));
        $this->assertNoSecretIsKept();
    }

    /** @dataProvider own */
    public function testBackToTheMachinesOwnName(string $name): void
    {
        $this->service['package']['dns']['ptr_name'] = 'shop.example.org';
        Record::change(self::SERVICE, ['ptr_name' => 'shop.example.org']);
        $this->assertSame('success', $this->choose($name));
        $this->assertArrayNotHasKey('ptr_name', json_decode($this->fake->requests('PUT')[0]['body'], true)['dns']);
        $this->assertSame('', Record::find(self::SERVICE)->ptr_name);
    }

    /** @return list<list<string>> */
    public static function own(): array
    {
        return [[''], ['vm-1001.example.net'], ['VM-1001.Example.net.']];
    }

    /** @dataProvider impossible */
    public function testANameThatCannotBe(string $name, string $message): void
    {
        $this->assertStringContainsString($message, $this->choose($name));
        $this->assertSame([], $this->fake->requests('PUT'));
    }

    /** @return iterable<string,list<string>> */
    public static function impossible(): iterable
    {
        yield 'another machine\'s' => ['elsewhere.example.org', 'does not lead to this machine'];
        yield 'nobody\'s' => ['nowhere.example.org', 'does not lead to this machine'];
        $others = ['no host' => 'my shop', 'one label' => 'localhost', 'a script' => '<script>', 'a net' => '203.0.113.7/32', 'two' => "a.example\nb"];
        foreach ($others as $what => $name) {
            yield $what => [$name, 'not a host name'];
        }
        yield 'too long' => [str_repeat('a.', 126) . 'aa', 'not a host name'];
    }

    public function testAProductWithoutReverseDns(): void
    {
        unset($this->service['package']['dns']['ptr']);
        $this->assertSame('This product has no reverse DNS.', $this->choose('shop.example.org'));
    }

    public function testALinkDoesNothing(): void
    {
        $this->assertSame('Use the buttons on the page.', $this->choose('shop.example.org', 'GET'));
        $this->assertSame([], $this->fake->requests());
    }

    public function testTheRealLookUp(): void
    {
        $this->expectExceptionMessage('does not lead to this machine');
        ReverseDns::real()->change($this->service, 'vmline.invalid'); // RFC 6761: there is never such a name
    }

    private function choose(string $name, string $method = 'POST'): string
    {
        $path = "/v1/services/{$this->ref()}";
        $this->fake->answer(["GET $path" => [['body' => $this->service]], "PUT $path" => [['status' => 202, 'body' => ['id' => 'op-2']]]]);
        $records = [
            'shop.example.org' => [['type' => 'A', 'ip' => '192.0.2.1'], ['type' => 'AAAA', 'ipv6' => '2001:DB8:0::7']],
            'elsewhere.example.org' => [['type' => 'A', 'ip' => '192.0.2.1'], ['type' => 'CNAME', 'target' => 'x']],
        ];
        $reverse = new ReverseDns(static fn (string $name, int $types): array => $records[$name] ?? []);
        return Customer::reverseDns($this->params(), $reverse, $method, ['ptr_name' => $name]);
    }
}
