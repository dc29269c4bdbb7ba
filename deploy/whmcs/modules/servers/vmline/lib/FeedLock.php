<?php

namespace WHMCS\Module\Server\Vmline;

use WHMCS\Database\Capsule;

/**
 * The right to apply one gateway's events. Whoever lost it can no longer move the cursor, so the work of two at once
 * is never done twice.
 */
final class FeedLock
{
    /** Seconds after which the lock of one that died is free. */
    private const TERM = 60;

    private function __construct(private readonly int $serverId, private readonly string $holder)
    {
    }

    /** Null if another has it. */
    public static function take(int $serverId, int $now): ?self
    {
        Tables::ensure();
        Capsule::table('mod_vmline_feeds')->insertOrIgnore(['serverid' => $serverId]);
        $holder = bin2hex(random_bytes(16));
        $taken = Capsule::table('mod_vmline_feeds')->where('serverid', $serverId)->where('held_until', '<', $now)
            ->update(['holder' => $holder, 'held_until' => $now + self::TERM]);
        return $taken === 1 ? new self($serverId, $holder) : null;
    }

    public function cursor(): int
    {
        return (int) $this->mine()->value('cursor');
    }

    /** Moves the cursor forward; call it inside the transaction of what the event changes. */
    public function advance(int $cursor): void
    {
        if ($this->mine()->where('cursor', '<', $cursor)->update(['cursor' => $cursor]) !== 1) {
            throw new LostLock('Another process has taken over the events of this gateway.');
        }
    }

    public function renew(int $now): void
    {
        $this->mine()->update(['held_until' => $now + self::TERM]);
        if (!$this->mine()->exists()) {
            throw new LostLock('Another process has taken over the events of this gateway.');
        }
    }

    public function release(): void
    {
        $this->mine()->update(['holder' => '', 'held_until' => 0]);
    }

    private function mine(): \Illuminate\Database\Query\Builder
    {
        return Capsule::table('mod_vmline_feeds')->where('serverid', $this->serverId)->where('holder', $this->holder);
    }
}
