<?php

namespace WHMCS\Module\Server\Vmline;

use Illuminate\Database\Query\Builder;
use WHMCS\Database\Capsule;

/**
 * What is to be done exactly once outside of a transaction: mails, notifications, looks at what became of a command. Errand does it.
 *
 * A row is made in the transaction of the change that asks for it. Whoever turns it from due to doing does it. What
 * is left in the hands of one that died is done again, but for mails: whether one went out is not known, and a
 * customer must not get it twice. Staff is told instead.
 */
final class Outbox
{
    public const DUE = 'due';
    public const DONE = 'done';

    private const DOING = 'doing';
    private const TABLE = 'mod_vmline_outbox';
    private const MAX_ONCE = 190;
    private const AT_ONCE = 50;
    private const FIRST_WAIT = 60;
    private const LONGEST_WAIT = 3600;

    /** Seconds after which one that has not finished counts as dead. */
    private const GIVEN_UP = 600;

    /**
     * @param array<string,scalar> $payload
     * @param int $dueAt unix time before which it is not done
     * @return bool false if it was asked for before
     */
    public static function add(
        string $once,
        string $kind,
        int $serviceId,
        int $serverId,
        array $payload,
        string $status = self::DUE,
        int $dueAt = 0,
    ): bool {
        Tables::ensure();
        return Capsule::table(self::TABLE)->insertOrIgnore([
            'once' => substr($once, 0, self::MAX_ONCE),
            'kind' => $kind,
            'serviceid' => $serviceId,
            'serverid' => $serverId,
            'payload' => json_encode($payload, JSON_THROW_ON_ERROR | JSON_INVALID_UTF8_SUBSTITUTE),
            'status' => $status,
            'due_at' => $dueAt,
        ]) === 1;
    }

    /** Says once that something happened, for what is done in the same transaction. */
    public static function remember(string $once, int $serviceId): bool
    {
        return self::add($once, 'done', $serviceId, 0, [], self::DONE);
    }

    public static function isDone(string $once): bool
    {
        Tables::ensure();
        return Capsule::table(self::TABLE)->where('once', $once)->where('status', self::DONE)->exists();
    }

    /** Takes back what need no longer be done. */
    public static function settle(string $once): void
    {
        Capsule::table(self::TABLE)->where('once', substr($once, 0, self::MAX_ONCE))->where('status', self::DUE)->delete();
    }

    public static function flush(int $serverId, Gateway $gateway, int $now): void
    {
        $rows = Capsule::table(self::TABLE)->where('serverid', $serverId);
        self::takeOver($rows, $now);
        $due = (clone $rows)->where('status', self::DUE)->where('due_at', '<=', $now)->orderBy('id')->limit(self::AT_ONCE)->get();
        foreach ($due as $row) {
            $mine = Capsule::table(self::TABLE)->where('id', $row->id)->where('status', self::DUE)
                ->update(['status' => self::DOING, 'due_at' => $now]);
            if ($mine === 1) {
                self::attempt($row, $gateway, $now);
            }
        }
    }

    /** What others began and did not finish. */
    private static function takeOver(Builder $rows, int $now): void
    {
        foreach ((clone $rows)->where('status', self::DOING)->where('due_at', '<', $now - self::GIVEN_UP)->get() as $row) {
            $mail = $row->kind === 'ready_mail';
            if ($mail) {
                self::add("unsure:$row->once", 'parked', (int) $row->serviceid, (int) $row->serverid, [
                    'type' => 'ready mail',
                    'cause' => 'WHMCS was ended while it sent the mail, so whether it went out is not known.',
                    'kept' => 'It was not sent again.',
                    'next' => 'Ask the customer, or send it from the service\'s page.',
                ]);
            }
            Capsule::table(self::TABLE)->where('id', $row->id)->where('status', self::DOING)
                ->update(['status' => $mail ? self::DONE : self::DUE]);
        }
    }

    private static function attempt(object $row, Gateway $gateway, int $now): void
    {
        try {
            $done = Errand::run($row, $gateway);
        } catch (\Throwable $error) {
            $done = false;
            $what = $error instanceof Failure ? $error->getMessage() : $error::class;
            Log::activity("$row->kind of service $row->serviceid failed and is tried again: $what");
        }
        if ($done && $row->kind === 'outcome') {
            Capsule::table(self::TABLE)->delete($row->id); // there is one for every command, and it is asked once
            return;
        }
        $wait = min(self::LONGEST_WAIT, self::FIRST_WAIT * 2 ** min(10, (int) $row->attempts));
        Capsule::table(self::TABLE)->where('id', $row->id)->update(
            $done ? ['status' => self::DONE] : ['status' => self::DUE, 'attempts' => $row->attempts + 1, 'due_at' => $now + $wait]
        );
    }
}
