<?php

namespace WHMCS\Module\Server\Vmline;

use WHMCS\Database\Capsule;

/**
 * Writes one state of a machine into WHMCS. Its caller holds a transaction.
 */
final class Applier
{
    /**
     * @param array<string,mixed> $service as the gateway shows it
     * @param int $seq of the event; 0 for a present state, which is newer than every event applied before
     */
    public static function apply(int $serverId, array $service, int $seq, int $now): void
    {
        $id = Reference::serviceId((string) ($service['ref'] ?? ''));
        if ($id === null) {
            return;
        }
        $hosting = Capsule::table('tblhosting')->where('id', $id)->lockForUpdate()->first();
        if ($hosting === null || (int) $hosting->server !== $serverId) {
            return; // deleted, or another gateway's
        }
        $record = Capsule::table('mod_vmline_services')->where('serviceid', $id)->lockForUpdate()->first();
        if ($record !== null && (int) $record->serverid === $serverId && $seq > 0 && $seq <= (int) $record->seq) {
            return;
        }
        self::remember($id, $serverId, $service, $seq, $now);
        $operation = (array) ($service['operation'] ?? []);
        Outbox::settle('outcome:' . ($operation['id'] ?? ''));
        match (true) {
            in_array($operation['status'] ?? '', ['parked', 'refused'], true) => self::needsPerson($id, $serverId, $operation),
            ($operation['status'] ?? '') !== 'succeeded' => null,
            ($service['status'] ?? '') === 'terminated' => self::terminated($hosting, $service, $operation, $record),
            default => self::settled($hosting, $service, $operation, $serverId),
        };
    }

    /**
     * A command that was accepted and then refused leaves no event of the machine.
     *
     * @param array<string,mixed> $operation
     */
    public static function refused(int $serviceId, int $serverId, array $operation): void
    {
        Capsule::connection()->transaction(static function () use ($serviceId, $serverId, $operation): void {
            Capsule::table('mod_vmline_services')->where('serviceid', $serviceId)->where('operation', $operation['id'] ?? '')
                ->update(['operation_status' => 'refused']);
            self::needsPerson($serviceId, $serverId, $operation);
        });
    }

    private static function remember(int $id, int $serverId, array $service, int $seq, int $now): void
    {
        $operation = (array) ($service['operation'] ?? []);
        unset($service['package']);
        $changes = [
            'serverid' => $serverId,
            'ref' => (string) $service['ref'],
            'uid' => (string) ($service['uid'] ?? ''),
            'operation' => (string) ($operation['id'] ?? ''),
            'operation_status' => (string) ($operation['status'] ?? ''),
            'addresses' => implode("\n", self::addresses($service)),
            'state' => json_encode($service, JSON_UNESCAPED_SLASHES | JSON_THROW_ON_ERROR),
            'updated_at' => $now,
        ];
        if ($seq > 0) {
            $changes['seq'] = $seq;
        }
        Capsule::table('mod_vmline_services')->updateOrInsert(['serviceid' => $id], $changes);
    }

    /** An operation has ended well: what the customer sees is brought up to date. */
    private static function settled(object $hosting, array $service, array $operation, int $serverId): void
    {
        $addresses = self::addresses($service);
        $record = Record::find((int) $hosting->id);
        $changes = [
            'dedicatedip' => self::main($addresses),
            'assignedips' => implode("\n", array_diff($addresses, [self::main($addresses)])),
        ];
        if ((string) ($record->username ?? '') !== '') {
            $changes['username'] = $record->username;
        }
        if (trim((string) $hosting->domain) === '' && (string) ($record->domain ?? '') !== '') {
            $changes['domain'] = $record->domain;
        }
        $uid = (string) ($service['uid'] ?? '');
        $ready = ($service['status'] ?? '') === 'ready';
        // Whoever has an adopted machine had it before: there is nothing to welcome to.
        $mail = ($operation['type'] ?? '') === 'adopt' ? Outbox::DONE : Outbox::DUE;
        if ($ready && Outbox::add("ready:$hosting->id:$uid", 'ready_mail', (int) $hosting->id, $serverId, [], $mail)) {
            $where = sprintf('VM %d on %s', $service['vmid'] ?? 0, $service['node'] ?? '?');
            $changes['notes'] = self::noted($hosting, $operation, trim("ready: $where, " . implode(', ', $addresses), ', '));
        }
        Capsule::table('tblhosting')->where('id', $hosting->id)->update($changes);
    }

    private static function terminated(object $hosting, array $service, array $operation, ?object $before): void
    {
        $released = array_filter((array) ($operation['result']['released'] ?? []), 'is_string')
            ?: self::addresses($service)
            ?: array_filter(explode("\n", (string) ($before->addresses ?? '')))
            ?: array_filter([(string) $hosting->dedicatedip, ...explode("\n", (string) $hosting->assignedips)]);
        $changes = ['dedicatedip' => '', 'assignedips' => ''];
        $once = 'terminated:' . $hosting->id . ':' . ($service['uid'] ?? '');
        if (Outbox::remember($once, (int) $hosting->id)) {
            $what = $released ? 'released ' . implode(', ', $released) : 'it had no address';
            $changes['notes'] = self::noted($hosting, $operation, "terminated, $what");
        }
        Capsule::table('tblhosting')->where('id', $hosting->id)->update($changes);
        if (($before->ordered ?? '') === ($operation['id'] ?? '')) { // else a new machine was ordered meanwhile
            Record::forget((int) $hosting->id);
        }
    }

    /** Staff is told once for each time that an operation stops. */
    private static function needsPerson(int $id, int $serverId, array $operation): void
    {
        $error = (array) ($operation['error'] ?? []);
        $once = sprintf('parked:%s:%s', $operation['id'] ?? '', $error['since'] ?? '');
        Outbox::add($once, 'parked', $id, $serverId, [
            'type' => (string) ($operation['type'] ?? ''),
            'status' => (string) ($operation['status'] ?? ''),
            'step' => (string) ($error['step'] ?? ''),
            'cause' => (string) ($error['cause'] ?? ''),
            'kept' => (string) ($error['kept'] ?? ''),
            'next' => (string) ($error['next'] ?? ''),
        ]);
    }

    /** The admin notes with one more line; nothing that an admin wrote is lost. */
    private static function noted(object $hosting, array $operation, string $line): string
    {
        $date = substr((string) ($operation['finished_at'] ?? ''), 0, 10) ?: gmdate('Y-m-d');
        return ltrim(rtrim((string) $hosting->notes) . "\n$date $line", "\n");
    }

    /** @return list<string> */
    private static function addresses(array $service): array
    {
        $list = array_map(static fn (mixed $a): string => (string) (((array) $a)['address'] ?? ''), (array) ($service['addresses'] ?? []));
        return array_values(array_filter($list, static fn (string $a): bool => filter_var($a, FILTER_VALIDATE_IP) !== false));
    }

    /**
     * The first IPv4 address, else the first.
     *
     * @param list<string> $addresses
     */
    private static function main(array $addresses): string
    {
        foreach ($addresses as $address) {
            if (!str_contains($address, ':')) {
                return $address;
            }
        }
        return $addresses[0] ?? '';
    }
}
