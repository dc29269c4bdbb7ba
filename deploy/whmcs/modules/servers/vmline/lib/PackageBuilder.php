<?php

namespace WHMCS\Module\Server\Vmline;

/**
 * Makes the whole package of a service from the product's settings, the customer's configurable options and custom
 * fields. Later ones win: settings, "More settings", custom fields, configurable options.
 */
final class PackageBuilder
{
    /** Settings of a product that are no field of a package. */
    private const NOT_FIELDS = ['name_rule', 'reinstall_templates', 'more'];

    /** A value that means "as if nothing were said". */
    private const ZERO_IS_UNSET = ['system_disk_size_gb', 'additional_disk_size_gb', 'vlan', 'rate_mbps'];

    /**
     * @param array<string,mixed> $params as WHMCS gives them
     * @param array{name:string,username:string,template:string,ptr_name:string} $chosen what was chosen for this service before. The
     *     template of a machine that exists wins; for the others custom fields do.
     * @return array<string,mixed>
     * @throws Failure
     */
    public static function build(array $params, array $chosen): array
    {
        $package = [];
        foreach (self::texts($params) as $name => $text) {
            $value = Fields::value($name, $text);
            if ($value === 0 || $value === 0.0) {
                $value = in_array($name, self::ZERO_IS_UNSET, true) ? null : $value;
            }
            self::set($package, Fields::place($name), $value);
        }
        $package['customer'] = Reference::install() . ':' . (int) ($params['userid'] ?? 0);
        $package['name'] = isset($package['name']) ? NameRule::label($package['name']) : $chosen['name'];
        $package['cloud_init']['user'] ??= $chosen['username'];
        if ($chosen['template'] !== '') {
            $package['template'] = $chosen['template'];
        }
        if ($chosen['ptr_name'] !== '' && !empty($package['dns']['ptr'])) {
            $package['dns']['ptr_name'] = $chosen['ptr_name'];
        }
        if (Commands::password($params) !== '') {
            $package['cloud_init']['password'] = Commands::password($params);
        }
        if (!empty($package['firewall']['rules'])) {
            $package['firewall']['enabled'] ??= true;
        }
        if (empty($package['additional_disk']['size_gb'])) {
            unset($package['additional_disk']); // no disk has neither storage nor limits
        }
        return array_filter($package, static fn (mixed $part): bool => $part !== []);
    }

    /**
     * The text of every field that has one, the winner of several.
     *
     * @param array<string,mixed> $params
     * @return array<string,string>
     */
    private static function texts(array $params): array
    {
        $settings = ConfigOptions::values($params);
        $texts = array_diff_key($settings, array_flip(self::NOT_FIELDS));
        if (NameRule::isRule($settings['os_user'])) {
            unset($texts['os_user']); // the account was chosen by this rule, once
        }
        $texts = array_replace($texts, self::more($settings['more']));
        foreach ((array) ($params['customfields'] ?? []) as $name => $text) {
            $field = Fields::named((string) $name);
            if ($field !== null && in_array($field, Fields::CUSTOMERS, true) && trim((string) $text) !== '') {
                $texts[$field] = html_entity_decode((string) $text, ENT_QUOTES);
            }
        }
        foreach ((array) ($params['configoptions'] ?? []) as $name => $text) {
            $field = Fields::named((string) $name);
            if ($field !== null && trim((string) $text) !== '') {
                $texts[$field] = (string) $text;
            }
        }
        return self::oneMemory($texts, $params);
    }

    /**
     * memory_gb and memory_mib are one field: memory_gb is only ever set on purpose, so it wins, unless a
     * configurable option says memory_mib.
     *
     * @param array<string,string> $texts
     * @param array<string,mixed> $params
     * @return array<string,string>
     */
    private static function oneMemory(array $texts, array $params): array
    {
        if (!isset($texts['memory_gb'])) {
            return $texts;
        }
        $options = array_map(Fields::named(...), array_map('strval', array_keys((array) ($params['configoptions'] ?? []))));
        $loser = in_array('memory_mib', $options, true) && !in_array('memory_gb', $options, true) ? 'memory_gb' : 'memory_mib';
        unset($texts[$loser]);
        return $texts;
    }

    /**
     * @return array<string,string>
     * @throws Failure
     */
    private static function more(string $text): array
    {
        $texts = [];
        foreach (preg_split('/\R/', $text) ?: [] as $line) {
            $line = trim($line);
            if ($line === '' || $line[0] === '#') {
                continue;
            }
            [$name, $value] = array_map('trim', array_pad(explode('=', $line, 2), 2, ''));
            $field = Fields::named($name);
            if ($field === null) {
                throw new Failure("More settings: there is no field \"$name\".");
            }
            // A field of several lines is written on several.
            $texts[$field] = isset($texts[$field]) ? "$texts[$field]\n$value" : $value;
        }
        return $texts;
    }

    /** @param array<string,mixed> $package */
    private static function set(array &$package, string $place, mixed $value): void
    {
        if ($value === null || $value === []) {
            return;
        }
        [$part, $name] = array_pad(explode('.', $place, 2), 2, null);
        if ($name === null) {
            $package[$part] = $value;
        } else {
            $package[$part][$name] = $value;
        }
    }
}
