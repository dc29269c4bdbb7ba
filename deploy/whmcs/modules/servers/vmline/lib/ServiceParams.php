<?php

namespace WHMCS\Module\Server\Vmline;

use WHMCS\Database\Capsule;

/**
 * The parameters of a service for hooks, which WHMCS calls without them.
 */
final class ServiceParams
{
    private const DROPDOWN = '1';
    private const RADIO = '2';

    /**
     * @param int $productId another product than the service has; 0 for its own
     * @param array<int,mixed> $chosen configurable options as a customer sends them: id => id of the choice, or quantity
     * @return array<string,mixed>|null null if the product is not this module's
     */
    public static function of(int $serviceId, int $productId = 0, array $chosen = []): ?array
    {
        $hosting = Capsule::table('tblhosting')->where('id', $serviceId)->first();
        $product = $hosting === null ? null : Capsule::table('tblproducts')->where('id', $productId ?: $hosting->packageid)->first();
        if ($product === null || $product->servertype !== 'vmline' || (int) $hosting->server === 0) {
            return null;
        }
        $params = [
            'serviceid' => $serviceId,
            'userid' => (int) $hosting->userid,
            'serverid' => (int) $hosting->server,
            'username' => (string) $hosting->username,
            'password' => (string) \decrypt((string) $hosting->password),
            'customfields' => self::customFields($serviceId),
            'configoptions' => self::configOptions($serviceId, $chosen),
        ];
        for ($i = 1; $i <= 24; $i++) {
            $params["configoption$i"] = (string) ($product->{"configoption$i"} ?? '');
        }
        return $params;
    }

    /** @return array<string,string> */
    private static function customFields(int $serviceId): array
    {
        return Capsule::table('tblcustomfieldsvalues')
            ->join('tblcustomfields', 'tblcustomfields.id', '=', 'tblcustomfieldsvalues.fieldid')
            ->where('tblcustomfields.type', 'product')->where('tblcustomfieldsvalues.relid', $serviceId)
            ->pluck('tblcustomfieldsvalues.value', 'tblcustomfields.fieldname')->all();
    }

    /**
     * @param array<int,mixed> $chosen
     * @return array<string,string>
     */
    private static function configOptions(int $serviceId, array $chosen): array
    {
        $choices = [];
        foreach (Capsule::table('tblhostingconfigoptions')->where('relid', $serviceId)->get() as $row) {
            $choices[(int) $row->configid] = ['option' => (int) $row->optionid, 'quantity' => (int) $row->qty];
        }
        foreach ($chosen as $id => $value) {
            $choices[(int) $id] = ['option' => (int) $value, 'quantity' => (int) $value];
        }
        $options = [];
        foreach (Capsule::table('tblproductconfigoptions')->whereIn('id', array_keys($choices))->get() as $row) {
            $choice = $choices[(int) $row->id];
            $named = in_array((string) $row->optiontype, [self::DROPDOWN, self::RADIO], true);
            $name = explode('|', (string) $row->optionname)[0];
            $options[$name] = $named ? self::choice($choice['option']) : (string) $choice['quantity'];
        }
        return $options;
    }

    private static function choice(int $id): string
    {
        return explode('|', (string) Capsule::table('tblproductconfigoptionssub')->where('id', $id)->value('optionname'))[0];
    }
}
