<?php

namespace WHMCS\Module\Server\Vmline;

/**
 * The name under which the gateway knows a service: <install id>-<service id>.
 */
final class Reference
{
    public static function of(int $serviceId): string
    {
        return self::install() . '-' . $serviceId;
    }

    /** The service's id, or null for a machine of another installation. */
    public static function serviceId(string $ref): ?int
    {
        $pattern = '/^' . preg_quote(self::install(), '/') . '-([1-9][0-9]{0,9})$/D';
        return preg_match($pattern, $ref, $match) ? (int) $match[1] : null;
    }

    /** Made once. Two WHMCS installations that share a gateway differ in it. */
    public static function install(): string
    {
        return Meta::get('install_id') ?? Meta::once('install_id', 'w' . bin2hex(random_bytes(4)));
    }
}
