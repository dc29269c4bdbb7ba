<?php

namespace WHMCS\Module\Server\Vmline;

use WHMCS\Database\Capsule;

/**
 * What the module does when something happens in WHMCS.
 */
final class Hooks
{
    /** Seconds that one run of the cron may spend on a gateway. */
    private const CRON_SECONDS = 20.0;

    private const FOUND_AT_MOST = 10;

    public static function afterCronJob(): void
    {
        Feed::each(static fn (Feed $feed) => $feed->pull(self::CRON_SECONDS));
    }

    public static function dailyCronJob(): void
    {
        Feed::each(static fn (Feed $feed) => $feed->reconcile());
    }

    /**
     * @param array<string,mixed> $vars messagename, relid
     * @return array<string,bool>
     */
    public static function emailPreSend(array $vars): array
    {
        return self::guarded(static function () use ($vars): array {
            $held = Mails::isHeldBack((string) ($vars['messagename'] ?? ''), (int) ($vars['relid'] ?? 0));
            return $held ? ['abortsend' => true] : [];
        });
    }

    /**
     * Refuses an upgrade that cannot be done, such as a smaller disk, before the customer pays. A gateway that cannot
     * be asked refuses nothing: it decides when the order is paid.
     *
     * @param array<string,mixed> $vars id of the service, pid of the new product if it is to change
     * @param array<int,mixed> $chosen configurable options as sent
     * @return list<string>
     */
    public static function validateUpgrade(array $vars, array $chosen): array
    {
        return self::guarded(static function () use ($vars, $chosen): array {
            $id = (int) ($vars['id'] ?? 0);
            $params = ServiceParams::of($id, (int) ($vars['pid'] ?? 0), $chosen);
            $record = Record::find($id);
            return $params === null || $record === null ? [] : self::objections($params, $record);
        });
    }

    /**
     * @param array<string,mixed> $params
     * @return list<string>
     */
    private static function objections(array $params, object $record): array
    {
        try {
            $package = PackageBuilder::build($params, Commands::chosen($record));
            $gateway = Gateway::at(Server::fromId($params['serverid']));
            $verdict = $gateway->validate($record->ref, ['type' => 'change_package', 'package' => $package]);
        } catch (TransportFailure) {
            return [];
        } catch (Refusal $refusal) {
            return $refusal->status === 422 ? [$refusal->getMessage()] : [];
        } catch (Failure $failure) {
            return [$failure->getMessage()];
        }
        return ($verdict['ok'] ?? true) ? [] : [self::objection((array) (((array) ($verdict['problems'] ?? []))[0] ?? []))];
    }

    /** @param array<string,mixed> $problem the first one of a validation */
    private static function objection(array $problem): string
    {
        return Refusal::text(['title' => 'This change is not possible.', 'detail' => $problem['cause'] ?? '', 'next' => $problem['next'] ?? '']);
    }

    /** A record that is deleted, perhaps by mistake, destroys nothing: staff hears of the machine that is left. */
    public static function serviceDelete(int $serviceId): void
    {
        self::guarded(static function () use ($serviceId): array {
            $record = Record::find($serviceId);
            $gone = (Record::state($record)['status'] ?? '') === 'terminated';
            if ($record !== null && $record->operation !== '' && !$gone) {
                Outbox::add("deleted:$serviceId:$record->operation", 'parked', $serviceId, (int) $record->serverid, [
                    'type' => 'deletion',
                    'cause' => "The service was deleted in WHMCS, and its machine $record->ref is still there.",
                    'kept' => 'The machine, its backups and its addresses are as they were.',
                    'next' => "If they are to go: vmline vm terminate $record->ref",
                ]);
            }
            return [];
        });
    }

    /**
     * Finds machines by address, name, ref or VMID in the admin area's search.
     *
     * @return list<array<string,string>>
     */
    public static function search(string $term): array
    {
        $term = trim($term);
        return strlen($term) < 3 ? [] : self::guarded(static fn (): array => self::found($term));
    }

    /** @return list<array<string,string>> */
    private static function found(string $term): array
    {
        Tables::ensure();
        $like = '%' . addcslashes($term, '%_\\') . '%';
        $records = Capsule::table('mod_vmline_services')->where(static function ($query) use ($like, $term): void {
            $query->where('addresses', 'like', $like)->orWhere('domain', 'like', $like)->orWhere('ref', $term)
                ->orWhere('state', 'like', '%"vmid":' . (ctype_digit($term) ? $term : 'none') . ',%');
        })->limit(self::FOUND_AT_MOST)->get();
        $found = [];
        foreach ($records as $record) {
            $state = Record::state($record);
            $where = sprintf('VM %s on %s, %s', $state['vmid'] ?? '?', $state['node'] ?? '?', $state['status'] ?? '?');
            $found[] = [
                'title' => self::text($record->domain ?: $record->ref),
                'href' => AdminTab::url((int) $record->serviceid),
                'subTitle' => self::text($where . ', ' . strtr((string) $record->addresses, "\n", ' ')),
                'icon' => 'fal fa-server',
            ];
        }
        return $found;
    }

    /**
     * A hook that throws would break pages and mails of WHMCS that have nothing to do with machines.
     *
     * @param \Closure():array<array-key,mixed> $hook
     * @return array<array-key,mixed>
     */
    private static function guarded(\Closure $hook): array
    {
        try {
            return $hook();
        } catch (\Throwable $error) {
            Log::thrown($error);
            return [];
        }
    }

    private static function text(string $text): string
    {
        return htmlspecialchars($text, ENT_QUOTES);
    }
}
