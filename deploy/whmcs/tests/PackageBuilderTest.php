<?php

namespace Vmline\Tests;

use WHMCS\Module\Server\Vmline\ConfigOptions;
use WHMCS\Module\Server\Vmline\Failure;
use WHMCS\Module\Server\Vmline\Fields;
use WHMCS\Module\Server\Vmline\FirewallRules;
use WHMCS\Module\Server\Vmline\NameRule;
use WHMCS\Module\Server\Vmline\PackageBuilder;
use WHMCS\Module\Server\Vmline\Reference;

final class PackageBuilderTest extends WhmcsCase
{
    private const CHOSEN = ['name' => 'vm-1001', 'username' => 'u1', 'template' => '', 'ptr_name' => ''];

    public function testAProductWithoutOptions(): void
    {
        $this->assertEquals([
            'cluster' => 'dc1', 'template' => 'tmpl', 'clone_type' => 'linked', 'cores' => 1, 'memory_mib' => 1024, 'first_vmid' => 100,
            'system_disk' => ['size_gb' => 10], 'network' => ['bridge' => 'vmbr0', 'ipv4_count' => 1, 'ipv6_count' => 0],
            'cloud_init' => ['user' => 'debian', 'password' => self::PASSWORD], 'dns' => ['domain' => 'example.net', 'ptr' => true],
            'customer' => Reference::install() . ':7', 'name' => 'vm-1001',
        ], PackageBuilder::build($this->params(), self::CHOSEN));
    }

    /** Every field of a package can be sold as a configurable option under its name. */
    public function testEachFieldIsOverriddenByItsConfigurableOption(): void
    {
        foreach (Fields::names() as $name) {
            $place = explode('.', Fields::place($name));
            $special = ['firewall_rules' => 'in DROP', 'nodes' => 'pve1, pve2', 'addresses' => '203.0.113.9', 'ssh_keys' => 'ssh-ed25519 AAAA x',
                'memory_gb' => '3', 'name' => 'other', 'dns_servers' => '192.0.2.1 192.0.2.2', 'onboot' => '1'];
            $kind = preg_match('/^(onboot|anti_affinity|firewall|firewall_(dhcp|ndp|mac_filter|ip_filter|router_advertisement)|dns_ptr)$/', $name);
            $text = $special[$name] ?? ($kind ? 'yes' : '23');
            $options = [strtoupper(str_replace('_', ' ', $name)) . '|Shown to the customer' => $text];
            $options += str_starts_with($name, 'additional_disk') ? ['additional_disk' => '23'] : [];
            $package = PackageBuilder::build($this->params(['configoptions' => $options]), self::CHOSEN);
            $got = count($place) === 2 ? $package[$place[0]][$place[1]] ?? null : $package[$place[0]] ?? null;
            $this->assertEquals(Fields::value($name, $text), $got, $name);
        }
    }

    public function testWhoWins(): void
    {
        $params = $this->params([
            'configoption24' => "cores = 2\nram = 2\nsystem_disk_read_mbps = 300\n\n# a comment\nssh_keys = ssh-ed25519 AAAA a\nssh_keys = ssh-ed25519 BBBB b",
            'customfields' => ['Hostname' => 'My Shop!', 'Cores' => '64', 'SSH key' => ''],
            'configoptions' => ['CPU' => '4 cores', 'Support plan' => 'gold', 'Storage speed' => ''],
        ]);
        $package = PackageBuilder::build($params, self::CHOSEN);
        $this->assertSame(4, $package['cores'], 'the configurable option wins, and a customer cannot give himself 64');
        $this->assertSame(2048, $package['memory_mib'], 'GB of the more settings, over the MiB of the product');
        $this->assertSame('my-shop', $package['name']);
        $this->assertSame(['size_gb' => 10, 'read_mbps' => 300], $package['system_disk']);
        $this->assertSame(['ssh-ed25519 AAAA a', 'ssh-ed25519 BBBB b'], $package['cloud_init']['ssh_keys']);
    }

    public function testAMachineKeepsItsTemplate(): void
    {
        $package = PackageBuilder::build($this->params(), ['template' => 'ubuntu-26'] + self::CHOSEN);
        $this->assertSame('ubuntu-26', $package['template']);
    }

    public function testAnAccountByRuleIsTheOneThatWasChosen(): void
    {
        $params = $this->params(['configoption19' => 'adm{random_digits:3}']);
        $this->assertSame('u1', PackageBuilder::build($params, self::CHOSEN)['cloud_init']['user']);
        $params['customfields'] = ['User' => 'ann'];
        $this->assertSame('ann', PackageBuilder::build($params, self::CHOSEN)['cloud_init']['user']);
    }

    public function testNoAdditionalDiskMeansNothingAboutIt(): void
    {
        $params = $this->params(['configoption13' => 'shared1', 'configoption24' => 'additional_disk_read_mbps = 5']);
        $this->assertArrayNotHasKey('additional_disk', PackageBuilder::build($params, self::CHOSEN));
    }

    public function testRulesTurnTheFirewallOn(): void
    {
        $params = $this->params(['configoption22' => 'in ACCEPT SSH']);
        $this->assertTrue(PackageBuilder::build($params, self::CHOSEN)['firewall']['enabled']);
        $params['configoption24'] = 'firewall = no';
        $this->assertFalse(PackageBuilder::build($params, self::CHOSEN)['firewall']['enabled']);
    }

    /** @dataProvider mistakes */
    public function testAMistakeIsNamed(array $more, string $message): void
    {
        $this->expectException(Failure::class);
        $this->expectExceptionMessage($message);
        PackageBuilder::build($this->params($more), self::CHOSEN);
    }

    /** @return iterable<string,list<mixed>> */
    public static function mistakes(): iterable
    {
        yield 'no number' => [['configoption5' => 'many'], 'cores: "many" does not begin with a whole number.'];
        yield 'half a core' => [['configoptions' => ['Cores' => '1.5']], 'cores: "1.5"'];
        yield 'a negative number' => [['configoption6' => '-1'], 'memory_mib: "-1"'];
        yield 'neither yes nor no' => [['configoptions' => ['onboot' => 'perhaps']], 'neither yes nor no'];
        yield 'an unknown field' => [['configoption24' => 'colour = red'], 'there is no field "colour"'];
        yield 'a rule' => [['configoption22' => "in ACCEPT tcp 22\nallow all"], 'Line 2 of the firewall rules'];
    }

    /** @dataProvider rules */
    public function testFirewallRules(string $line, array $rule): void
    {
        $this->assertEquals([$rule], FirewallRules::parse("\n$line\n"));
    }

    /** @return list<list<mixed>> */
    public static function rules(): array
    {
        return [
            ['in accept tcp 80,443 from 192.0.2.0/24 # the web', ['direction' => 'in', 'action' => 'ACCEPT', 'protocol' => 'tcp',
                'destination_port' => '80,443', 'source' => '192.0.2.0/24', 'comment' => 'the web']],
            ['in ACCEPT SSH to 203.0.113.7', ['direction' => 'in', 'action' => 'ACCEPT', 'macro' => 'SSH', 'destination' => '203.0.113.7']],
            ['out DROP', ['direction' => 'out', 'action' => 'DROP']],
            ['in REJECT from 192.0.2.1', ['direction' => 'in', 'action' => 'REJECT', 'source' => '192.0.2.1']],
            ['out ACCEPT udp sport 53', ['direction' => 'out', 'action' => 'ACCEPT', 'protocol' => 'udp', 'source_port' => '53']],
        ];
    }

    public function testNameRules(): void
    {
        $random = static fn (int $low, int $high): int => $high;
        $at = gmmktime(10, 20, 30, 11, 24, 2026);
        foreach (
            [
            '' => '7-1001', 'VPS_{client_id}.{service_id}' => 'vps-7-1001', '{random_digits:3}-{random_letters}' => '999-zzzz',
            'v{year}{month}{day}-{hour}{minute}{second}' => 'v20261124-102030', '{unix_time}' => (string) $at,
            str_repeat('x', 70) => str_repeat('x', 63), '-a-' => 'a',
            ] as $rule => $name
        ) {
            $this->assertSame($name, NameRule::make((string) $rule, 7, 1001, $at, $random));
        }
        foreach (
            [
            'adm_{client_id}' => 'adm_7', '{service_id}' => 'u1001', 'Ann.{random_letters:2}' => 'ann-zz', '-{year}' => 'u2026',
            str_repeat('x', 40) => str_repeat('x', 32),
            ] as $rule => $account
        ) {
            $this->assertSame($account, NameRule::account((string) $rule, 7, 1001, $at, $random));
        }
        foreach (['{colour}', '---', 'ä'] as $rule) {
            try {
                NameRule::make($rule, 7, 1001, $at, $random);
                $this->fail("$rule makes a name");
            } catch (Failure $failure) {
                $this->assertNotSame('', $failure->getMessage());
            }
        }
    }

    public function testWhmcsKnows24SettingsAndSavedProductsCountOnTheirOrder(): void
    {
        $this->assertSame(['cluster', 'template', 'nodes', 'clone_type', 'cores', 'memory_mib', 'cpu_type', 'name_rule', 'first_vmid',
            'system_disk_size_gb', 'system_disk_storage', 'additional_disk_size_gb', 'additional_disk_storage', 'bridge', 'vlan', 'rate_mbps',
            'ipv4_count', 'ipv6_count', 'os_user', 'dns_domain', 'dns_ptr', 'firewall_rules', 'reinstall_templates', 'more'], array_keys(ConfigOptions::all()));
    }

    public function testReferences(): void
    {
        $install = Reference::install();
        $this->assertMatchesRegularExpression('/^w[0-9a-f]{8}$/', $install);
        $this->assertSame($install, Reference::install());
        $this->assertSame(1001, Reference::serviceId("$install-1001"));
        foreach (['w00000000-1001', "$install-", "$install-01", "$install-1x", "x$install-1", "$install-1\n"] as $ref) {
            $this->assertNull(Reference::serviceId($ref), $ref);
        }
    }
}
