<?php

namespace WHMCS\Module\Server\Vmline;

use WHMCS\Database\Capsule;

/**
 * Brings what happened at a gateway into WHMCS: in the order in which it happened, each event once.
 */
final class Feed
{
    private const PAGE = 200;

    /** How often a transaction is begun that the database gave up for another. */
    private const DEADLOCKS = 3;

    /** @param \Closure():int $now */
    public function __construct(
        private readonly int $serverId,
        private readonly Gateway $gateway,
        private readonly \Closure $now,
    ) {
    }

    public static function of(int $serverId): self
    {
        return new self($serverId, Gateway::at(Server::fromId($serverId)), \Closure::fromCallable('time'));
    }

    /**
     * The feeds of every gateway. One that is down does not hold up the others.
     *
     * @param \Closure(self):void $work
     */
    public static function each(\Closure $work): void
    {
        foreach (Server::ids() as $id) {
            try {
                $work(self::of($id));
            } catch (LostLock) {
                continue; // the other goes on
            } catch (\Throwable $error) {
                $what = $error instanceof Failure ? $error->getMessage() : $error::class;
                Log::activity("the events of server $id could not be read, the next run goes on where they ended: $what");
            }
        }
    }

    /** @return bool false if another process is at it; that one then looks once more */
    public function pull(float $seconds = 20.0): bool
    {
        $end = microtime(true) + $seconds;
        return $this->locked(function (FeedLock $lock) use ($end): void {
            do {
                $asked = $lock->asked();
                $this->catchUp($lock, $end - microtime(true));
            } while (microtime(true) < $end && !$lock->releaseUnlessAsked($asked));
        });
    }

    /** Compares every machine, after the events: for the daily run. */
    public function reconcile(float $seconds = 120.0): bool
    {
        return $this->locked(function (FeedLock $lock) use ($seconds): void {
            $this->catchUp($lock, $seconds);
            $seen = $this->resync($lock);
            Reconcile::report($this->serverId, $seen, ($this->now)());
        });
    }

    /** @param \Closure(FeedLock):void $work */
    private function locked(\Closure $work): bool
    {
        $lock = FeedLock::take($this->serverId, ($this->now)());
        if ($lock === null) {
            return false;
        }
        try {
            $work($lock);
        } finally {
            $lock->release();
            Outbox::flush($this->serverId, $this->gateway, ($this->now)());
        }
        return true;
    }

    private function catchUp(FeedLock $lock, float $seconds): void
    {
        $end = microtime(true) + $seconds;
        do {
            $lock->renew(($this->now)());
            $page = $this->gateway->get('/v1/events', ['after' => $lock->cursor(), 'limit' => self::PAGE]);
            if (!is_array($page['events'] ?? null) || !is_int($page['cursor'] ?? null)) {
                throw new Failure('The gateway\'s events are not in a form that this module knows.');
            }
            if (!empty($page['gap'])) {
                $this->resync($lock); // older events are gone for good
            }
            foreach ($page['events'] as $event) {
                $this->apply($lock, (array) $event);
            }
            if ($page['cursor'] > $lock->cursor()) {
                $lock->advance($page['cursor']);
            }
        } while (!empty($page['has_more']) && microtime(true) < $end);
    }

    /**
     * One event and the cursor in one transaction. An event that cannot be applied must not hold up those of other
     * services: states are whole, so the service's next event or the daily comparison mends it.
     *
     * @param array<string,mixed> $event
     */
    private function apply(FeedLock $lock, array $event): void
    {
        $seq = (int) ($event['seq'] ?? 0);
        if ($seq <= $lock->cursor()) {
            return;
        }
        $service = (array) ($event['service'] ?? []);
        try {
            Capsule::connection()->transaction(function () use ($lock, $seq, $service): void {
                $lock->advance($seq);
                Applier::apply($this->serverId, $service, $seq, ($this->now)());
            }, self::DEADLOCKS);
        } catch (LostLock $lost) {
            throw $lost;
        } catch (\Throwable $error) {
            Capsule::connection()->transaction(static fn () => $lock->advance($seq));
            Log::activity('event ' . $seq . ' of ' . ($service['ref'] ?? '?') . ' could not be applied: ' . $error::class);
        }
    }

    /** @return array<string,string> status of every machine under its ref */
    private function resync(FeedLock $lock): array
    {
        $seen = [];
        foreach ($this->gateway->services() as $service) {
            $lock->renew(($this->now)());
            $seen[(string) ($service['ref'] ?? '')] = (string) ($service['status'] ?? '');
            Capsule::connection()->transaction(
                fn () => Applier::apply($this->serverId, $service, 0, ($this->now)()),
                self::DEADLOCKS
            );
        }
        return $seen;
    }
}
