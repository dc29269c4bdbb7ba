<?php

namespace WHMCS\Module\Server\Vmline;

/**
 * Every field of a package: the name under which an admin sets it, its place in the package, and its type.
 *
 * The same names serve in the product's "More settings", as names of configurable options and as names of custom
 * fields. Upper case, blanks and hyphens do not matter: "Memory MiB" is memory_mib.
 */
final class Fields
{
    /** name => [place in the package, type] */
    private const TABLE = [
        'cluster' => ['cluster', 'text'],
        'node' => ['node', 'text'],
        'nodes' => ['nodes', 'list'],
        'template' => ['template', 'text'],
        'clone_type' => ['clone_type', 'lower'],
        'name' => ['name', 'text'],
        'first_vmid' => ['first_vmid', 'int'],
        'cores' => ['cores', 'int'],
        'cpu_type' => ['cpu_type', 'text'],
        'memory_mib' => ['memory_mib', 'int'],
        'memory_gb' => ['memory_mib', 'gib'],
        'onboot' => ['onboot', 'bool'],
        'readiness' => ['readiness', 'lower'],
        'anti_affinity' => ['anti_affinity', 'bool'],
        'system_disk_storage' => ['system_disk.storage', 'text'],
        'system_disk_size_gb' => ['system_disk.size_gb', 'int'],
        'system_disk_read_mbps' => ['system_disk.read_mbps', 'int'],
        'system_disk_write_mbps' => ['system_disk.write_mbps', 'int'],
        'system_disk_read_iops' => ['system_disk.read_iops', 'int'],
        'system_disk_write_iops' => ['system_disk.write_iops', 'int'],
        'additional_disk_storage' => ['additional_disk.storage', 'text'],
        'additional_disk_size_gb' => ['additional_disk.size_gb', 'int'],
        'additional_disk_read_mbps' => ['additional_disk.read_mbps', 'int'],
        'additional_disk_write_mbps' => ['additional_disk.write_mbps', 'int'],
        'additional_disk_read_iops' => ['additional_disk.read_iops', 'int'],
        'additional_disk_write_iops' => ['additional_disk.write_iops', 'int'],
        'network_model' => ['network.model', 'lower'],
        'bridge' => ['network.bridge', 'text'],
        'vlan' => ['network.vlan', 'int'],
        'rate_mbps' => ['network.rate_mbps', 'float'],
        'ipv4_count' => ['network.ipv4_count', 'int'],
        'ipv6_count' => ['network.ipv6_count', 'int'],
        'addresses' => ['network.addresses', 'list'],
        'firewall' => ['firewall.enabled', 'bool'],
        'firewall_policy_in' => ['firewall.policy_in', 'upper'],
        'firewall_policy_out' => ['firewall.policy_out', 'upper'],
        'firewall_dhcp' => ['firewall.dhcp', 'bool'],
        'firewall_ndp' => ['firewall.ndp', 'bool'],
        'firewall_mac_filter' => ['firewall.mac_filter', 'bool'],
        'firewall_ip_filter' => ['firewall.ip_filter', 'bool'],
        'firewall_router_advertisement' => ['firewall.router_advertisement', 'bool'],
        'firewall_log_level_in' => ['firewall.log_level_in', 'lower'],
        'firewall_log_level_out' => ['firewall.log_level_out', 'lower'],
        'firewall_rules' => ['firewall.rules', 'rules'],
        'os_user' => ['cloud_init.user', 'text'],
        'ssh_keys' => ['cloud_init.ssh_keys', 'lines'],
        'dns_servers' => ['cloud_init.dns_servers', 'list'],
        'search_domain' => ['cloud_init.search_domain', 'text'],
        'dns_domain' => ['dns.domain', 'text'],
        'dns_ptr' => ['dns.ptr', 'bool'],
        'dns_ptr_name' => ['dns.ptr_name', 'lower'],
        'dns_ttl' => ['dns.ttl_seconds', 'int'],
    ];

    /** What admins like to call some of them. */
    private const ALIASES = [
        'cpu' => 'cores', 'cpus' => 'cores', 'cpu_cores' => 'cores',
        'ram' => 'memory_gb', 'ram_gb' => 'memory_gb', 'memory' => 'memory_gb', 'ram_mib' => 'memory_mib', 'ram_mb' => 'memory_mib',
        'memory_mb' => 'memory_mib',
        'disk' => 'system_disk_size_gb', 'disk_gb' => 'system_disk_size_gb', 'system_disk' => 'system_disk_size_gb',
        'additional_disk' => 'additional_disk_size_gb', 'ipv4' => 'ipv4_count', 'ipv6' => 'ipv6_count',
        'os' => 'template', 'operating_system' => 'template', 'hostname' => 'name', 'username' => 'os_user', 'user' => 'os_user',
        'ssh_key' => 'ssh_keys', 'bandwidth_mbps' => 'rate_mbps', 'network_rate_mbps' => 'rate_mbps', 'domain' => 'dns_domain', 'ptr' => 'dns_ptr',
    ];

    /** What a customer may fill in as a custom field. Customers write these freely; all else is the admin's to sell. */
    public const CUSTOMERS = ['name', 'template', 'os_user', 'ssh_keys', 'search_domain'];

    /** The field that a text names, or null. Of "RAM|Memory of the machine" only what stands before the bar counts. */
    public static function named(string $text): ?string
    {
        $name = trim(preg_replace('/[^a-z0-9]+/', '_', strtolower(explode('|', $text)[0])) ?? '', '_');
        $name = self::ALIASES[$name] ?? $name;
        return isset(self::TABLE[$name]) ? $name : null;
    }

    /** @return list<string> */
    public static function names(): array
    {
        return array_keys(self::TABLE);
    }

    public static function place(string $name): string
    {
        return self::TABLE[$name][0];
    }

    /**
     * The value of a text, null for an empty one, which leaves the field as it is.
     *
     * @return scalar|list<mixed>|null
     * @throws Failure
     */
    public static function value(string $name, string $text): mixed
    {
        $text = trim($text);
        if ($text === '') {
            return null;
        }
        return match (self::TABLE[$name][1]) {
            'text' => trim(explode('|', $text)[0]),
            'lower' => strtolower($text),
            'upper' => strtoupper($text),
            'bool' => self::bool($name, $text),
            'int' => (int) self::number($name, $text, true),
            'float' => self::number($name, $text, false),
            'gib' => (int) round(1024 * self::number($name, $text, false)),
            'list' => preg_split('/[\s,]+/', $text, -1, PREG_SPLIT_NO_EMPTY),
            'lines' => array_values(array_filter(array_map('trim', preg_split('/\R/', $text) ?: []))),
            'rules' => FirewallRules::parse($text),
        };
    }

    private static function bool(string $name, string $text): bool
    {
        return match (strtolower($text)) {
            '1', 'on', 'yes', 'true' => true,
            '0', 'off', 'no', 'false' => false,
            default => throw new Failure("$name: \"$text\" is neither yes nor no."),
        };
    }

    /** The number that a text such as "4 cores" begins with. */
    private static function number(string $name, string $text, bool $whole): float
    {
        if (!preg_match($whole ? '/^(\d{1,9})(?![.\d])/' : '/^(\d{1,9}(?:\.\d+)?)(?![.\d])/', $text, $match)) {
            $kind = $whole ? 'a whole number' : 'a number';
            throw new Failure("$name: \"$text\" does not begin with $kind.");
        }
        return (float) $match[1];
    }
}
