<?php

namespace WHMCS\Module\Server\Vmline;

use WHMCS\Database\Capsule;

/**
 * Small facts that the module keeps for itself.
 */
final class Meta
{
    public static function get(string $name): ?string
    {
        Tables::ensure();
        $value = Capsule::table('mod_vmline_meta')->where('name', $name)->value('value');
        return $value === null ? null : (string) $value;
    }

    public static function set(string $name, string $value): void
    {
        Tables::ensure();
        Capsule::table('mod_vmline_meta')->updateOrInsert(['name' => $name], ['value' => $value]);
    }

    /** The value of a name, which the first who asks decides for all. */
    public static function once(string $name, string $value): string
    {
        Tables::ensure();
        Capsule::table('mod_vmline_meta')->insertOrIgnore(['name' => $name, 'value' => $value]);
        return (string) self::get($name);
    }
}
