<?php

namespace WHMCS\Module\Server\Vmline;

use WHMCS\Database\Capsule;

/**
 * The welcome mail of a product, which is to say that the machine is ready.
 */
final class Mails
{
    /** The name of the mail's template, or null if the product has none. */
    public static function welcome(int $serviceId): ?string
    {
        $name = Capsule::table('tblhosting')
            ->join('tblproducts', 'tblproducts.id', '=', 'tblhosting.packageid')
            ->join('tblemailtemplates', 'tblemailtemplates.id', '=', 'tblproducts.welcomeemail')
            ->where('tblhosting.id', $serviceId)->where('tblproducts.servertype', 'vmline')
            ->value('tblemailtemplates.name');
        return $name === null ? null : (string) $name;
    }

    /** Whether WHMCS must not send this mail now: the machine is not ready, or is only being ordered. */
    public static function isHeldBack(string $template, int $serviceId): bool
    {
        if (Errand::mailing($serviceId) || self::welcome($serviceId) !== $template) {
            return false;
        }
        $uid = (string) (Record::find($serviceId)->uid ?? '');
        return Commands::isCreating($serviceId) || !Outbox::isDone("ready:$serviceId:$uid");
    }
}
