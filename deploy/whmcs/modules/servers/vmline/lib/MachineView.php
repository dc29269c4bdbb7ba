<?php

namespace WHMCS\Module\Server\Vmline;

/**
 * What the gateway says of a machine, as rows of the services tab.
 */
final class MachineView
{
    /**
     * @param array<string,mixed> $service
     * @return array<string,string> label => HTML
     */
    public static function rows(array $service, object $record): array
    {
        $operation = (array) ($service['operation'] ?? []);
        $rows = [
            'Local status' => Html::text(($service['status'] ?? '') ?: $record->operation_status),
            'Remote status' => Html::text(($service['remote_status'] ?? '') ?: 'not known'),
            'Lock' => Html::text(($service['remote_lock'] ?? '') ?: 'none'),
            'Addresses' => self::addresses($service),
            'Node' => Html::text(($service['node'] ?? '') ?: 'not chosen yet'),
            'VM ID' => Html::text(($service['vmid'] ?? 0) ?: 'none yet'),
            'Reference' => '<code>' . Html::text($record->ref) . '</code>',
            'Operation' => self::operation($operation) . self::problem($service, $operation),
            'Steps' => self::steps((array) ($operation['steps'] ?? [])),
        ];
        return $rows + array_filter([
            'Next' => self::list(array_filter([$service['queued'] ?? [], ...(array) ($service['pending'] ?? [])]), 'type'),
            'Differs' => self::list((array) ($service['drift'] ?? []), 'detail'),
            'Warnings' => self::list((array) ($service['warnings'] ?? []), ''),
        ]);
    }

    private static function addresses(array $service): string
    {
        $addresses = array_map(static function (mixed $a): string {
            $a = (array) $a;
            return Html::text(($a['address'] ?? '') . '/' . ($a['prefix_length'] ?? '') . ' of ' . ($a['pool'] ?? ''));
        }, (array) ($service['addresses'] ?? []));
        return Html::lines(array_values($addresses), 'none');
    }

    /** @param array<array-key,mixed> $items texts, or objects with a text under a name */
    private static function list(array $items, string $name): string
    {
        $texts = array_map(static fn (mixed $item): string => Html::text(is_array($item) ? $item[$name] ?? '' : $item), $items);
        return Html::lines(array_values($texts), '');
    }

    private static function operation(array $operation): string
    {
        $by = ($operation['requested_by'] ?? '') === '' ? '' : ", asked for by $operation[requested_by]";
        return Html::text(trim(($operation['type'] ?? '') . ' ' . ($operation['status'] ?? '')) . $by);
    }

    private static function problem(array $service, array $operation): string
    {
        $error = (array) ($operation['error'] ?? $service['problem'] ?? []);
        if ($error === []) {
            return '';
        }
        $step = ($error['step'] ?? '') === '' ? '' : "Before {$error['step']}: ";
        $html = '<strong>' . Html::text($step . ($error['cause'] ?? '')) . '</strong>';
        foreach (['kept' => '', 'next' => 'Next: '] as $part => $word) {
            if (($error[$part] ?? '') !== '') {
                $html .= '<br>' . Html::text($word . $error[$part]);
            }
        }
        $retry = (array) ($service['retry'] ?? []);
        if ($retry !== []) {
            $at = self::clock((string) ($retry['not_before'] ?? ''));
            $html .= '<br>' . Html::text('It is tried again by itself at ' . $at . ' UTC, after ' . ($retry['attempts'] ?? 0) . ' attempts.');
        }
        return '<div class="alert alert-danger">' . $html . '</div>';
    }

    private static function steps(array $steps): string
    {
        $html = '';
        foreach ($steps as $step) {
            $step = (array) $step;
            $cells = [$step['name'] ?? '', $step['status'] ?? '', self::clock((string) ($step['started_at'] ?? '')), self::seconds($step)];
            $html .= '<tr><td>' . implode('</td><td>', array_map(Html::text(...), $cells)) . '</td></tr>';
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
        if (empty($step['started_at']) || empty($step['finished_at'])) {
            return '';
        }
        try {
            $from = new \DateTimeImmutable((string) $step['started_at']);
            $to = new \DateTimeImmutable((string) $step['finished_at']);
        } catch (\Exception) {
            return '';
        }
        return sprintf('%.1f s', (float) $to->format('U.u') - (float) $from->format('U.u'));
    }
}
