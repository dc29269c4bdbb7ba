<?php

namespace WHMCS\Module\Server\Vmline;

/**
 * What a customer sees of the machine. Node, VMID and the words of Proxmox are the operator's business.
 */
final class ClientArea
{
    /** What a customer reads for the statuses of an operation. */
    private const WORDS = [
        'accepted' => 'Waiting', 'queued' => 'Waiting', 'running' => 'In progress', 'parked' => 'Waiting for our staff',
        'succeeded' => 'Done', 'interrupted' => 'Replaced', 'refused' => 'Not possible',
    ];

    /**
     * @param array<string,mixed> $params
     * @return array<string,mixed>
     */
    public static function page(array $params): array
    {
        $record = Record::find((int) $params['serviceid']);
        $view = self::view(self::present($params, $record), $record);
        return [
            'tabOverviewModuleOutputTemplate' => 'templates/overview.tpl',
            'templateVariables' => ['vmline' => $view + [
                'serviceid' => (int) $params['serviceid'],
                'poll' => 'modules/servers/vmline/poll.php?id=' . (int) $params['serviceid'],
                'templates' => ConfigOptions::reinstallTemplates($params),
            ]],
        ];
    }

    /**
     * The state for the page and for the script that asks again and again.
     *
     * @param array<string,mixed> $service
     * @return array<string,mixed>
     */
    public static function view(array $service, ?object $record): array
    {
        $operation = (array) ($service['operation'] ?? []);
        $status = (string) ($operation['status'] ?? $record->operation_status ?? '');
        $steps = (array) ($operation['steps'] ?? []);
        $done = count(array_filter($steps, static fn (mixed $s): bool => (((array) $s)['status'] ?? '') === 'succeeded'));
        $allowed = [];
        foreach ((array) ($service['actions'] ?? []) as $action) {
            $allowed[((array) $action)['type'] ?? ''] = !empty(((array) $action)['allowed']);
        }
        $buttons = [];
        foreach (Buttons::CUSTOMERS as $verb) {
            $buttons[$verb] = $allowed[$verb] ?? false;
        }
        return [
            'ordered' => $record !== null && $record->operation !== '',
            'power' => ['running' => 'Running', 'stopped' => 'Stopped'][$service['remote_status'] ?? ''] ?? 'Not known',
            'doing' => str_replace('_', ' ', (string) ($operation['type'] ?? '')),
            'progress' => self::WORDS[$status] ?? $status,
            'busy' => in_array($status, ['accepted', 'queued', 'running'], true),
            'percent' => $steps === [] ? 0 : (int) round(100 * $done / count($steps)),
            'addresses' => array_values(array_map(static fn (mixed $a): string => (string) (((array) $a)['address'] ?? ''), (array) ($service['addresses'] ?? []))),
            'reverse' => self::reverse($service, $record),
            'buttons' => $buttons,
        ];
    }

    /**
     * The gateway's view, or what it said last.
     *
     * @param array<string,mixed> $params
     * @return array<string,mixed>
     */
    public static function present(array $params, ?object $record): array
    {
        if ($record === null || $record->operation === '') {
            return [];
        }
        try {
            return Gateway::of($params)->service($record->ref);
        } catch (Failure) {
            return Record::state($record);
        }
    }

    /** The name that each address leads back to, where the product has reverse DNS. */
    private static function reverse(array $service, ?object $record): string
    {
        $dns = (array) ($service['package']['dns'] ?? []);
        return !empty($dns['ptr']) && $record !== null ? (string) $record->domain : '';
    }
}
