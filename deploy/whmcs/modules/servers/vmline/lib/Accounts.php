<?php

namespace WHMCS\Module\Server\Vmline;

use WHMCS\Database\Capsule;

/**
 * What WHMCS asks about all machines of a gateway.
 */
final class Accounts
{
    private const MIB_PER_GIB = 1024;

    /**
     * For "List Accounts" of a server. The product's template tells which product a machine is.
     *
     * @return array<string,mixed>
     */
    public static function list(Gateway $gateway): array
    {
        $accounts = [];
        try {
            foreach ($gateway->services() as $service) {
                if (!in_array($service['status'] ?? '', ['terminated', 'terminate', 'removed'], true)) {
                    $accounts[] = self::account($service);
                }
            }
        } catch (Failure $failure) {
            return ['success' => false, 'error' => $failure->getMessage()];
        }
        return ['success' => true, 'accounts' => $accounts];
    }

    /** Writes the size of each machine's disks. What the guest uses of them is not known from outside. */
    public static function usage(int $serverId, Gateway $gateway): void
    {
        foreach ($gateway->services() as $service) {
            $id = Reference::serviceId((string) ($service['ref'] ?? ''));
            $gib = self::disk($service, 'system_disk') + self::disk($service, 'additional_disk');
            if ($id !== null && $gib > 0) {
                Capsule::table('tblhosting')->where('id', $id)->where('server', $serverId)
                    ->update(['disklimit' => $gib * self::MIB_PER_GIB, 'lastupdate' => date('Y-m-d H:i:s')]);
            }
        }
    }

    /** The size of a disk in GiB as last seen, else as sold. */
    private static function disk(array $service, string $name): int
    {
        return (int) (($service["{$name}_gb"] ?? 0) ?: $service['package'][$name]['size_gb'] ?? 0);
    }

    /** @return array<string,string> */
    private static function account(array $service): array
    {
        $package = (array) ($service['package'] ?? []);
        $domain = (string) ($package['dns']['domain'] ?? '');
        $name = (string) ($package['name'] ?? $service['ref']);
        $fqdn = $domain === '' ? $name : "$name.$domain";
        $created = strtotime((string) ($service['operation']['created_at'] ?? '')) ?: time();
        $suspended = ($service['status'] ?? '') === 'suspended' || !empty($service['suspended']);
        return [
            'email' => '',
            'username' => (string) ($package['cloud_init']['user'] ?? ''),
            'domain' => $fqdn,
            'uniqueIdentifier' => $fqdn,
            'product' => (string) ($package['template'] ?? ''),
            'primaryip' => (string) ($service['addresses'][0]['address'] ?? ''),
            'created' => date('Y-m-d H:i:s', $created),
            'status' => $suspended ? 'Suspended' : 'Active', // the values of WHMCS\Service\Status
        ];
    }
}
