<?php

namespace Vmline\Tests;

/**
 * States of machines and pages of events, as the gateway shows them.
 */
final class States
{
    /**
     * @param array<string,mixed> $more
     * @return array<string,mixed>
     */
    public static function service(string $ref, string $status, string $type, string $operation, array $more = []): array
    {
        return $more + [
            'ref' => $ref, 'uid' => 'uid-1', 'status' => $status, 'event' => 'reached', 'cluster' => 'dc1', 'node' => 'pve2', 'vmid' => 150,
            'addresses' => [
                ['pool' => 'v6', 'address' => '2001:db8::7', 'prefix_length' => 64],
                ['pool' => 'v4', 'address' => '203.0.113.7', 'prefix_length' => 24],
                ['pool' => 'v4', 'address' => '203.0.113.8', 'prefix_length' => 24],
            ],
            'remote_status' => 'running',
            'operation' => ['id' => "$ref.$type", 'service_ref' => $ref, 'type' => $type, 'status' => $operation,
                'created_at' => '2026-11-24T10:00:00Z', 'finished_at' => '2026-11-24T10:00:09.5Z', 'steps' => [
                    ['name' => 'creation', 'status' => 'succeeded', 'owner' => 'lifecycle', 'started_at' => '2026-11-24T10:00:00Z',
                        'finished_at' => '2026-11-24T10:00:01.5Z'],
                    ['name' => 'set_ip', 'status' => $operation, 'owner' => 'ipam', 'started_at' => '2026-11-24T10:00:01.5Z'],
                ]],
            'updated_at' => '2026-11-24T10:00:09.5Z',
        ];
    }

    /** @return array<string,mixed> */
    public static function ready(string $ref): array
    {
        return self::service($ref, 'ready', 'create', 'succeeded');
    }

    /** @return array<string,mixed> */
    public static function terminated(string $ref): array
    {
        $service = self::service($ref, 'terminated', 'terminate', 'succeeded', ['addresses' => [], 'vmid' => 0]);
        $service['operation']['result'] = ['released' => ['203.0.113.7', '203.0.113.8', '2001:db8::7']];
        return $service;
    }

    /** @return array<string,mixed> */
    public static function parked(string $ref): array
    {
        $service = self::service($ref, 'creation', 'create', 'parked', ['addresses' => [], 'event' => 'parked']);
        $service['operation']['error'] = ['step' => 'set_ip', 'cause' => 'The pool <v4> is empty.', 'kept' => 'Nothing was made.',
            'next' => 'Add addresses to the pool.', 'since' => '2026-11-24T10:00:02Z'];
        return $service;
    }

    /**
     * An answer of /v1/events.
     *
     * @param array<int,array<string,mixed>> $services seq => state
     * @return array<string,mixed>
     */
    public static function page(array $services, int $cursor, bool $more = false, bool $gap = false): array
    {
        $events = [];
        foreach ($services as $seq => $service) {
            $events[] = ['seq' => $seq, 'service' => $service];
        }
        return ['body' => ['events' => $events, 'cursor' => $cursor, 'has_more' => $more, 'gap' => $gap]];
    }
}
