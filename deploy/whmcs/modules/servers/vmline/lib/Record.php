<?php

namespace WHMCS\Module\Server\Vmline;

use WHMCS\Database\Capsule;

/**
 * What the module knows of a service: mod_vmline_services.
 */
final class Record
{
    private const TABLE = 'mod_vmline_services';

    /** A command of which nothing was heard for so many seconds is asked for. */
    private const SILENCE = 60;

    public static function find(int $serviceId): ?object
    {
        Tables::ensure();
        return Capsule::table(self::TABLE)->where('serviceid', $serviceId)->first();
    }

    /** Makes the service's row if there is none. */
    public static function make(int $serviceId, int $serverId): void
    {
        Tables::ensure();
        Capsule::table(self::TABLE)->insertOrIgnore(['serviceid' => $serviceId, 'serverid' => $serverId, 'ref' => Reference::of($serviceId)]);
    }

    /**
     * The service's row with its name and account. They are chosen once, so that an order that is sent again is the
     * same order.
     *
     * @param array<string,mixed> $params
     * @throws Failure when a rule is wrong
     */
    public static function open(array $params): object
    {
        $id = (int) $params['serviceid'];
        self::make($id, (int) ($params['serverid'] ?? 0));
        $settings = ConfigOptions::values($params);
        $client = (int) ($params['userid'] ?? 0);
        $name = NameRule::make($settings['name_rule'], $client, $id, time(), random_int(...));
        Capsule::table(self::TABLE)->where('serviceid', $id)->where('name', '')->update(['name' => $name]);
        $account = NameRule::isRule($settings['os_user'])
            ? NameRule::account($settings['os_user'], $client, $id, time(), random_int(...))
            : self::account((string) ($params['username'] ?? ''));
        Capsule::table(self::TABLE)->where('serviceid', $id)->where('username', '')->update(['username' => $account]);
        return self::find($id) ?? throw new Failure("The row of service $id went away.");
    }

    /**
     * Notes that a command was accepted.
     *
     * @param array<string,mixed> $operation
     * @param array<string,scalar> $more columns that the command changes
     */
    public static function accepted(int $serviceId, int $serverId, array $operation, array $more = []): void
    {
        Tables::ensure();
        $id = (string) ($operation['id'] ?? '');
        Capsule::table(self::TABLE)->updateOrInsert(['serviceid' => $serviceId], $more + [
            'serverid' => $serverId,
            'ref' => Reference::of($serviceId),
            'operation' => $id,
            'ordered' => $id,
            'operation_status' => (string) ($operation['status'] ?? ''),
            'updated_at' => time(),
        ]);
        if (in_array($operation['status'] ?? '', ['accepted', 'queued'], true)) {
            Outbox::add("outcome:$id", 'outcome', $serviceId, $serverId, ['operation' => $id], Outbox::DUE, time() + self::SILENCE);
        }
    }

    /** A new order is a new machine: with a new name where the rule says so. */
    public static function forget(int $serviceId): void
    {
        self::change($serviceId, ['name' => '', 'username' => '', 'template' => '', 'domain' => '', 'ptr_name' => '', 'addresses' => '']);
    }

    /** @param array<string,mixed> $changes */
    public static function change(int $serviceId, array $changes): void
    {
        Capsule::table(self::TABLE)->where('serviceid', $serviceId)->update($changes);
    }

    /**
     * The state that the gateway last told.
     *
     * @return array<string,mixed>
     */
    public static function state(?object $record): array
    {
        return (array) json_decode((string) ($record->state ?? ''), true);
    }

    /**
     * What the admin entered for the next command.
     *
     * @return array<string,string>
     */
    public static function options(?object $record): array
    {
        return array_map('strval', (array) json_decode((string) ($record->options ?? ''), true));
    }

    /** The account that WHMCS suggests if a machine can have it, else a random one. */
    private static function account(string $suggested): string
    {
        return preg_match('/^[a-z_][a-z0-9_-]{0,31}$/D', $suggested) ? $suggested : 'u' . bin2hex(random_bytes(4));
    }
}
