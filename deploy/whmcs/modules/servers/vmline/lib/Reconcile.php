<?php

namespace WHMCS\Module\Server\Vmline;

use WHMCS\Database\Capsule;

/**
 * What WHMCS and the gateway disagree about, once a day.
 */
final class Reconcile
{
    /** @param array<string,string> $seen status of every machine of the gateway under its ref */
    public static function report(int $serverId, array $seen, int $now): void
    {
        $sold = Capsule::table('tblhosting')->join('tblproducts', 'tblproducts.id', '=', 'tblhosting.packageid')
            ->where('tblproducts.servertype', 'vmline')->where('tblhosting.server', $serverId)
            ->whereIn('tblhosting.domainstatus', ['Active', 'Suspended'])->pluck('tblhosting.id')->all();
        foreach ($sold as $id) {
            $status = $seen[Reference::of((int) $id)] ?? null;
            if ($status === null || $status === 'terminated') {
                self::say((int) $id, $serverId, $now, 'WHMCS sells it, but the gateway has no machine for it.');
            }
        }
        foreach ($seen as $ref => $status) {
            $id = Reference::serviceId((string) $ref);
            if ($id !== null && $status !== 'terminated' && !Capsule::table('tblhosting')->where('id', $id)->exists()) {
                self::say($id, $serverId, $now, "The machine $ref has no service in WHMCS. Terminate it at the gateway if nobody needs it.");
            }
        }
    }

    private static function say(int $id, int $serverId, int $now, string $cause): void
    {
        $once = "differs:$id:" . gmdate('Y-m-d', $now);
        if (Outbox::add($once, 'parked', $id, $serverId, ['type' => 'comparison', 'cause' => $cause])) {
            Log::activity("service $id: $cause");
        }
    }
}
