<?php

namespace WHMCS\Module\Server\Vmline;

/**
 * What a customer sees of the machine. Node, VMID and the words of Proxmox are the operator's business.
 */
final class ClientArea
{
    /** What a customer reads for the statuses of an operation. */
    private const STATUSES = [
        'accepted' => 'Waiting', 'queued' => 'Waiting', 'running' => 'In progress', 'parked' => 'Waiting for our staff',
        'succeeded' => 'Done', 'interrupted' => 'Replaced', 'refused' => 'Not possible',
    ];

    /** What a customer reads for what is done; anything else is the operator's work. */
    private const TASKS = [
        'create' => 'Creation', 'redeploy' => 'Creation', 'terminate' => 'Termination', 'suspend' => 'Suspension', 'unsuspend' => 'Reactivation',
        'change_package' => 'Change', 'change_password' => 'New password', 'start' => 'Start', 'stop' => 'Stop', 'shutdown' => 'Shutdown',
        'reboot' => 'Reboot', 'reset' => 'Reset', 'reinstall' => 'Reinstallation', '' => '',
    ];
    private const OTHER_TASK = 'Maintenance';

    /** What a customer reads for the step at hand. */
    private const PHASES = [
        'creation' => 'Preparing', 'set_ip' => 'Reserving addresses', 'clone' => 'Copying the system', 'migrated' => 'Copying the system',
        'removed' => 'Deleting the machine', 'stopped' => 'Shutting down', 'rebooted' => 'Restarting', 'reset' => 'Restarting',
        'starting' => 'Starting', 'ready' => 'Finishing', 'terminated' => 'Finishing', 'suspended' => 'Finishing',
    ];
    private const OTHER_PHASE = 'Configuring';

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
        $busy = in_array($status, ['accepted', 'queued', 'running'], true);
        $allowed = self::allowed($service);
        return [
            'ordered' => $record !== null && $record->operation !== '',
            'power' => self::power($service),
            'doing' => self::TASKS[$operation['goal'] ?? $operation['type'] ?? ''] ?? self::OTHER_TASK,
            'progress' => (self::STATUSES[$status] ?? $status) . ($status === 'running' ? self::phase($operation) : ''),
            'busy' => $busy,
            'percent' => self::percent($operation),
            'addresses' => array_values(array_map(static fn (mixed $a): string => (string) (((array) $a)['address'] ?? ''), (array) ($service['addresses'] ?? []))),
            'reverse' => self::reverse($service, $record),
            'buttons' => array_map(static fn (string $verb): bool => $allowed[$verb] ?? false, array_combine(Buttons::CUSTOMERS, Buttons::CUSTOMERS))
                + ['reverse' => $allowed['change_package'] ?? false],
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

    /** @return array<string,bool> verb => whether the gateway would do it now */
    private static function allowed(array $service): array
    {
        $allowed = [];
        foreach ((array) ($service['actions'] ?? []) as $action) {
            $action = (array) $action;
            $allowed[(string) ($action['type'] ?? '')] = !empty($action['allowed']);
        }
        return $allowed;
    }

    private static function power(array $service): string
    {
        if (($service['status'] ?? '') === 'suspended') {
            return 'Suspended';
        }
        return ['running' => 'Running', 'stopped' => 'Stopped'][$service['remote_status'] ?? ''] ?? 'Not known';
    }

    private static function phase(array $operation): string
    {
        foreach ((array) ($operation['steps'] ?? []) as $step) {
            if ((((array) $step)['status'] ?? '') !== 'succeeded') {
                return ': ' . (self::PHASES[((array) $step)['name'] ?? ''] ?? self::OTHER_PHASE);
            }
        }
        return '';
    }

    private static function percent(array $operation): int
    {
        $steps = (array) ($operation['steps'] ?? []);
        $done = count(array_filter($steps, static fn (mixed $s): bool => (((array) $s)['status'] ?? '') === 'succeeded'));
        return $steps === [] ? 0 : (int) round(100 * $done / count($steps));
    }

    /** The name that each address leads back to, where the product has reverse DNS. */
    private static function reverse(array $service, ?object $record): string
    {
        $package = (array) ($service['package'] ?? []);
        if (empty($package['dns']['ptr'])) {
            return '';
        }
        return (string) ($package['dns']['ptr_name'] ?? '') ?: ReverseDns::own($package) ?: (string) ($record->domain ?? '');
    }
}
