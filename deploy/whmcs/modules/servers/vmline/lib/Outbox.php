<?php

namespace WHMCS\Module\Server\Vmline;

use WHMCS\Database\Capsule;

/**
 * What is to be done exactly once outside of a transaction: mails, notifications, releases.
 *
 * A row is made in the transaction of the change that asks for it. Whoever turns it from due to doing does it. One
 * that died meanwhile leaves it there: a mail that may have gone out is not sent again.
 */
final class Outbox
{
    private const TABLE = 'mod_vmline_outbox';
    private const AT_ONCE = 50;
    private const FIRST_WAIT = 60;
    private const LONGEST_WAIT = 3600;

    /** What may be repeated is due again after so many seconds in the hands of one that died. */
    private const GIVEN_UP = 600;

    /** The service whose ready mail this process sends now. */
    private static int $mailing = 0;

    /**
     * @param array<string,scalar> $payload
     * @return bool false if it was asked for before
     */
    public static function add(string $once, string $kind, int $serviceId, int $serverId, array $payload, string $status = 'due'): bool
    {
        Tables::ensure();
        return Capsule::table(self::TABLE)->insertOrIgnore([
            'once' => substr($once, 0, 190),
            'kind' => $kind,
            'serviceid' => $serviceId,
            'serverid' => $serverId,
            'payload' => json_encode($payload, JSON_THROW_ON_ERROR | JSON_INVALID_UTF8_SUBSTITUTE),
            'status' => $status,
        ]) === 1;
    }

    /** Says once that something happened, for what is done in the same transaction. */
    public static function remember(string $once, int $serviceId): bool
    {
        return self::add($once, 'done', $serviceId, 0, [], 'done');
    }

    public static function isDone(string $once): bool
    {
        Tables::ensure();
        return Capsule::table(self::TABLE)->where('once', $once)->where('status', 'done')->exists();
    }

    public static function mailing(int $serviceId): bool
    {
        return self::$mailing === $serviceId;
    }

    public static function flush(int $serverId, Gateway $gateway, int $now): void
    {
        $rows = Capsule::table(self::TABLE)->where('serverid', $serverId);
        (clone $rows)->where('kind', 'terminate')->where('status', 'doing')->where('due_at', '<', $now - self::GIVEN_UP)
            ->update(['status' => 'due']);
        $due = (clone $rows)->where('status', 'due')->where('due_at', '<=', $now)->orderBy('id')->limit(self::AT_ONCE)->get();
        foreach ($due as $row) {
            $claimed = Capsule::table(self::TABLE)->where('id', $row->id)->where('status', 'due')
                ->update(['status' => 'doing', 'due_at' => $now]);
            if ($claimed === 1) {
                self::attempt($row, $gateway, $now);
            }
        }
    }

    private static function attempt(object $row, Gateway $gateway, int $now): void
    {
        try {
            match ($row->kind) {
                'ready_mail' => self::mail((int) $row->serviceid),
                'parked' => self::notify($row),
                'terminate' => self::release($row, $gateway),
            };
            Capsule::table(self::TABLE)->where('id', $row->id)->update(['status' => 'done']);
        } catch (\Throwable $error) {
            $wait = min(self::LONGEST_WAIT, self::FIRST_WAIT * 2 ** min(10, (int) $row->attempts));
            Capsule::table(self::TABLE)->where('id', $row->id)
                ->update(['status' => 'due', 'attempts' => $row->attempts + 1, 'due_at' => $now + $wait]);
            $what = $error instanceof Failure ? $error->getMessage() : $error::class;
            Log::activity("$row->kind of service $row->serviceid failed and is tried again in $wait s: $what");
        }
    }

    /** The product's welcome mail, which EmailPreSend held back when the order was accepted. */
    private static function mail(int $serviceId): void
    {
        $template = Mails::welcome($serviceId);
        if ($template === null) {
            return; // the product has none
        }
        self::$mailing = $serviceId;
        try {
            self::api('SendEmail', ['messagename' => $template, 'id' => $serviceId]);
        } finally {
            self::$mailing = 0;
        }
    }

    private static function notify(object $row): void
    {
        $said = array_map('strval', (array) json_decode($row->payload, true));
        $text = implode(' ', array_filter([$said['cause'] ?? '', $said['kept'] ?? '', $said['next'] ?? '']));
        $what = trim(($said['type'] ?? '') . ' of service ' . $row->serviceid . ' needs a person');
        self::api('TriggerNotificationEvent', [
            'notification_identifier' => "vmline.$row->kind",
            'title' => $what . (($said['step'] ?? '') === '' ? '' : " before {$said['step']}"),
            'message' => $text,
            'url' => AdminTab::url((int) $row->serviceid),
            'status' => 'Waiting',
            'statusStyle' => 'danger',
        ]);
    }

    /** The machine of a service that was deleted in WHMCS. */
    private static function release(object $row, Gateway $gateway): void
    {
        try {
            $gateway->delete((string) (json_decode($row->payload, true)['ref'] ?? ''));
        } catch (Refusal $refusal) {
            if ($refusal->type !== 'urn:vmline:problem:not-found') {
                throw $refusal;
            }
        }
    }

    /** @param array<string,mixed> $values */
    private static function api(string $command, array $values): void
    {
        $answer = \localAPI($command, $values);
        if (($answer['result'] ?? '') !== 'success') {
            throw new Failure("$command: " . ($answer['message'] ?? 'no success'));
        }
    }
}
