<?php

namespace WHMCS\Module\Server\Vmline;

/**
 * The settings of a product. Their order decides which configoptionN each one is, so rows are only ever added at
 * the end: WHMCS knows 24.
 */
final class ConfigOptions
{
    private const ON_OFF = ['Type' => 'yesno'];
    private const TEXT = ['Type' => 'text', 'Size' => '25'];
    private const NUMBER = ['Type' => 'text', 'Size' => '8'];
    private const AREA = ['Type' => 'textarea', 'Rows' => '4', 'Cols' => '60'];

    /** @return array<string,array<string,mixed>> name => setting, in the order of configoption1 to 24 */
    private static function table(): array
    {
        $simple = ['SimpleMode' => true];
        return [
            'cluster' => ['FriendlyName' => 'Cluster', 'Loader' => 'vmline_ClusterLoader'] + $simple + self::TEXT,
            'template' => ['FriendlyName' => 'Template', 'Loader' => 'vmline_TemplateLoader'] + $simple + self::TEXT,
            'nodes' => ['FriendlyName' => 'Nodes', 'Description' => 'Where the machine may live, e.g. pve1, pve2. Empty: any.'] + self::TEXT,
            'clone_type' => ['FriendlyName' => 'Clone', 'Type' => 'dropdown', 'Options' => ['linked' => 'Linked', 'full' => 'Full'], 'Default' => 'linked'],
            'cores' => ['FriendlyName' => 'CPU cores', 'Default' => '1'] + $simple + self::NUMBER,
            'memory_mib' => ['FriendlyName' => 'RAM', 'Default' => '1024', 'Description' => 'MiB'] + $simple + self::NUMBER,
            'cpu_type' => ['FriendlyName' => 'CPU type', 'Description' => 'e.g. host. Empty: the template\'s.'] + self::TEXT,
            'name_rule' => ['FriendlyName' => 'Name', 'Default' => NameRule::DEFAULT, 'Description' => 'Macros: {client_id} {service_id} '
                . '{random_digits:4} {random_letters:4} {unix_time} {year} {month} {day} {hour} {minute} {second}'] + self::TEXT,
            'first_vmid' => ['FriendlyName' => 'First VM ID', 'Default' => '100'] + self::NUMBER,
            'system_disk_size_gb' => ['FriendlyName' => 'System disk', 'Default' => '0', 'Description' => 'GB. 0: as the template.'] + $simple + self::NUMBER,
            'system_disk_storage' => ['FriendlyName' => 'System disk storage', 'Loader' => 'vmline_StorageLoader', 'Description' => 'Full clones only.']
                + $simple + self::TEXT,
            'additional_disk_size_gb' => ['FriendlyName' => 'Additional disk', 'Default' => '0', 'Description' => 'GB. 0: none.'] + $simple + self::NUMBER,
            'additional_disk_storage' => ['FriendlyName' => 'Additional disk storage', 'Loader' => 'vmline_StorageLoader'] + $simple + self::TEXT,
            'bridge' => ['FriendlyName' => 'Bridge', 'Default' => 'vmbr0', 'Loader' => 'vmline_BridgeLoader'] + $simple + self::TEXT,
            'vlan' => ['FriendlyName' => 'VLAN', 'Default' => '0', 'Description' => '0: none.'] + self::NUMBER,
            'rate_mbps' => ['FriendlyName' => 'Network limit', 'Default' => '0', 'Description' => 'MB/s. 0: unlimited.'] + self::NUMBER,
            'ipv4_count' => ['FriendlyName' => 'IPv4 addresses', 'Default' => '1'] + $simple + self::NUMBER,
            'ipv6_count' => ['FriendlyName' => 'IPv6 addresses', 'Default' => '0'] + $simple + self::NUMBER,
            'os_user' => ['FriendlyName' => 'OS user', 'Description' => 'May have the macros of the name. Empty: a random name.'] + self::TEXT,
            'dns_domain' => ['FriendlyName' => 'Main domain', 'Description' => 'The machine\'s name stands below it. Empty: no records.'] + self::TEXT,
            'dns_ptr' => ['FriendlyName' => 'Reverse DNS', 'Description' => 'Write PTR records.'] + self::ON_OFF,
            'firewall_rules' => ['FriendlyName' => 'Firewall rules', 'Description' => 'One a line, e.g. in ACCEPT tcp 80,443 from 192.0.2.0/24 # web']
                + self::AREA,
            'reinstall_templates' => ['FriendlyName' => 'Templates for reinstallation', 'Description' => 'What customers may choose from, e.g. debian-13, '
                . 'ubuntu-26. Empty: only the one they have.'] + self::TEXT,
            'more' => ['FriendlyName' => 'More settings', 'Description' => 'field = value, one a line; the fields are in the manual.'] + self::AREA,
        ];
    }

    /** @return array<string,array<string,mixed>> */
    public static function all(): array
    {
        return self::table();
    }

    /**
     * The product's settings under their names.
     *
     * @param array<string,mixed> $params with configoption1 to 24
     * @return array<string,string>
     */
    public static function values(array $params): array
    {
        $values = [];
        foreach (array_keys(self::table()) as $i => $name) {
            $values[$name] = trim((string) ($params['configoption' . ($i + 1)] ?? ''));
        }
        return $values;
    }

    /** @return list<string> */
    public static function reinstallTemplates(array $params): array
    {
        return preg_split('/[\s,]+/', self::values($params)['reinstall_templates'], -1, PREG_SPLIT_NO_EMPTY) ?: [];
    }
}
