<?php

namespace WHMCS\Module\Server\Vmline;

use WHMCS\Database\Capsule;

/**
 * The machine on the services tab of the admin area. What comes from outside is escaped.
 */
final class AdminTab
{
    private const OPTIONS = ['template' => 'Template', 'node' => 'Node', 'vmid' => 'VM ID', 'status' => 'Status', 'reason' => 'Reason'];

    private const MAX_OPTION = 64;

    /**
     * @param array<string,mixed> $params
     * @return array<string,string> label => HTML
     */
    public static function fields(array $params): array
    {
        $id = (int) $params['serviceid'];
        $record = Record::find($id);
        if ($record === null || $record->operation === '') {
            return ['Machine' => 'None was ordered yet.'];
        }
        $service = Record::state($record);
        $stale = '';
        try {
            $service = Gateway::of($params)->service($record->ref);
        } catch (Refusal $refusal) {
            $stale = $refusal->status === 404 ? 'The gateway has accepted the order and has no machine yet.' : $refusal->getMessage();
        } catch (Failure $failure) {
            $stale = $failure->getMessage();
        }
        return self::stale($stale, $record) + self::rows($service, $record) + [
            'Possible now' => self::buttons((array) ($service['actions'] ?? [])),
            'For the next command' => self::inputs(Record::options($record)),
        ];
    }

    /** @param array<string,mixed> $request $_REQUEST */
    public static function save(int $serviceId, array $request): void
    {
        $fields = (array) ($request['modulefields'] ?? []);
        $options = [];
        foreach (array_keys(self::OPTIONS) as $name) {
            $value = $fields["vmline_$name"] ?? '';
            if (is_string($value) && trim($value) !== '') {
                $options[$name] = mb_substr(trim($value), 0, self::MAX_OPTION);
            }
        }
        if (Record::find($serviceId) !== null) {
            Record::change($serviceId, ['options' => $options === [] ? null : json_encode($options)]);
        }
    }

    /** Where an admin finds a service. */
    public static function url(int $serviceId): string
    {
        $base = (string) Capsule::table('tblconfiguration')->where('setting', 'SystemURL')->value('value');
        $admin = $GLOBALS['customadminpath'] ?? 'admin';
        return rtrim($base, '/') . "/$admin/clientsservices.php?id=$serviceId";
    }

    /** @return array<string,string> */
    private static function stale(string $why, object $record): array
    {
        if ($why === '') {
            return [];
        }
        $age = $record->updated_at > 0 ? ' Last known at ' . gmdate('Y-m-d H:i:s', (int) $record->updated_at) . ' UTC:' : '';
        return ['Gateway' => '<div class="alert alert-warning">' . self::e($why . $age) . '</div>'];
    }

    /** @return array<string,string> */
    private static function rows(array $service, object $record): array
    {
        $addresses = array_map(static function (mixed $a): string {
            $a = (array) $a;
            return self::e(($a['address'] ?? '') . '/' . ($a['prefix_length'] ?? '') . ' of ' . ($a['pool'] ?? ''));
        }, (array) ($service['addresses'] ?? []));
        $operation = (array) ($service['operation'] ?? []);
        return [
            'Local status' => self::e($service['status'] ?? $record->operation_status),
            'Remote status' => self::e(($service['remote_status'] ?? '') ?: 'not known'),
            'Lock' => self::e(($service['remote_lock'] ?? '') ?: 'none'),
            'Addresses' => implode('<br>', $addresses) ?: 'none',
            'Node' => self::e(($service['node'] ?? '') ?: 'not chosen yet'),
            'VM ID' => self::e($service['vmid'] ?? 'none yet'),
            'Reference' => '<code>' . self::e($record->ref) . '</code>',
            'Operation' => self::e(trim(($operation['type'] ?? '') . ' ' . ($operation['status'] ?? ''))) . self::error($service, $operation),
            'Steps' => self::steps((array) ($operation['steps'] ?? [])),
        ];
    }

    private static function error(array $service, array $operation): string
    {
        $error = (array) ($operation['error'] ?? $service['problem'] ?? []);
        if ($error === []) {
            return '';
        }
        $step = ($error['step'] ?? '') === '' ? '' : "Before {$error['step']}: ";
        $html = '<strong>' . self::e($step . ($error['cause'] ?? '')) . '</strong>';
        foreach (['kept' => '', 'next' => 'Next: '] as $part => $word) {
            if (($error[$part] ?? '') !== '') {
                $html .= '<br>' . self::e($word . $error[$part]);
            }
        }
        $retry = (array) ($service['retry'] ?? []);
        if ($retry !== []) {
            $html .= '<br>' . self::e("It is tried again by itself at {$retry['not_before']}, after {$retry['attempts']} attempts.");
        }
        return '<div class="alert alert-danger">' . $html . '</div>';
    }

    private static function steps(array $steps): string
    {
        $html = '';
        foreach ($steps as $step) {
            $step = (array) $step;
            $cells = [$step['name'] ?? '', $step['status'] ?? '', self::clock($step['started_at'] ?? ''), self::seconds($step)];
            $html .= '<tr><td>' . implode('</td><td>', array_map(self::e(...), $cells)) . '</td></tr>';
        }
        return $html === '' ? 'none'
            : '<table class="table table-condensed"><tr><th>Step</th><th>Status</th><th>Started (UTC)</th><th>Took</th></tr>' . $html . '</table>';
    }

    private static function clock(string $time): string
    {
        $at = strtotime($time);
        return $at === false ? '' : gmdate('Y-m-d H:i:s', $at);
    }

    private static function seconds(array $step): string
    {
        try {
            $from = new \DateTimeImmutable((string) ($step['started_at'] ?? ''));
            $to = new \DateTimeImmutable((string) ($step['finished_at'] ?? ''));
        } catch (\Exception) {
            return '';
        }
        $known = !empty($step['started_at']) && !empty($step['finished_at']);
        return $known ? sprintf('%.1f s', (float) $to->format('U.u') - (float) $from->format('U.u')) : '';
    }

    /**
     * A button for each command; those that the gateway would refuse now are off and say why. They press WHMCS's own.
     *
     * @param array<array-key,mixed> $actions
     */
    private static function buttons(array $actions): string
    {
        $html = '';
        foreach ($actions as $action) {
            $action = (array) $action;
            $verb = (string) ($action['type'] ?? '');
            if (!in_array($verb, Buttons::verbs(), true)) {
                continue; // Create, Suspend and the like have buttons of WHMCS
            }
            $allowed = !empty($action['allowed']);
            $html .= sprintf(
                '<button type="button" class="btn btn-default btn-sm" onclick="runModuleCommand(\'custom\',\'%s\')" title="%s"%s>%s</button> ',
                Buttons::function($verb),
                self::e($allowed ? '' : (string) ($action['reason'] ?? '')),
                $allowed ? '' : ' disabled',
                self::e(Buttons::label($verb))
            );
        }
        return $html === '' ? 'The gateway does not say.' : $html
            . '<br><small>* works on a running machine too, ** only on a stopped one, -&gt; goes on with the creation</small>';
    }

    /** @param array<string,string> $options */
    private static function inputs(array $options): string
    {
        $html = '';
        foreach (self::OPTIONS as $name => $label) {
            $html .= sprintf(
                '<label>%s <input type="text" name="modulefields[vmline_%s]" value="%s" maxlength="%d" size="12"></label> ',
                $label,
                $name,
                self::e($options[$name] ?? ''),
                self::MAX_OPTION
            );
        }
        return $html . '<br><small>Save Changes, then press the command: Reinstall takes a template, Migrate a node, Set new VM id a VM ID, '
            . 'Reset status a status and a reason.</small>';
    }

    private static function e(mixed $text): string
    {
        return htmlspecialchars(is_scalar($text) ? (string) $text : '', ENT_QUOTES | ENT_SUBSTITUTE, 'UTF-8');
    }
}
