<?php

namespace WHMCS\Module\Server\Vmline;

use WHMCS\Database\Capsule;

/**
 * The right to apply one gateway's events. Whoever lost it can no longer move the cursor, so the work of two at once
 * is never done twice. Whoever does not get it leaves word, and the holder looks again before it lets go: an event
 * that came while the last page was on its way is not left until the next run of the cron.
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
        if ($taken === 1) {
            return new self($serverId, $holder);
        }
        Capsule::table('mod_vmline_feeds')->where('serverid', $serverId)->increment('asked');
        return null;
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

    /** How often others have asked for the lock so far. */
    public function asked(): int
    {
        return (int) $this->mine()->value('asked');
    }

    /**
     * Lets go, unless another has asked meanwhile.
     *
     * @param int $asked what asked() said before the work
     * @return bool false if the work is to be done once more
     */
    public function releaseUnlessAsked(int $asked): bool
    {
        $this->mine()->where('asked', $asked)->update(['holder' => '', 'held_until' => 0]);
        return !$this->mine()->exists();
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
