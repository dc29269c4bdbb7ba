<?php

namespace WHMCS\Module\Server\Vmline;

use WHMCS\Database\Capsule;

/**
 * The machine on the services tab of the admin area. What comes from outside is escaped.
 */
final class AdminTab
{
    /** What can be done while the gateway has no machine under the service's ref. */
    private const WITHOUT_MACHINE = 'adopt';

    /**
     * @param array<string,mixed> $params
     * @return array<string,string> label => HTML
     */
    public static function fields(array $params): array
    {
        $record = Record::find((int) $params['serviceid']);
        $none = [['Machine' => 'None was ordered yet.'], self::withoutMachine()];
        [$fields, $actions] = $record === null || $record->operation === '' ? $none : self::machine($params, $record);
        return $fields + [
            'Possible now' => ButtonPanel::buttons($actions),
            'For the next command' => ButtonPanel::inputs(Record::options($record)),
        ];
    }

    /** @param array<string,mixed> $request $_REQUEST */
    public static function save(int $serviceId, int $serverId, array $request): void
    {
        $fields = (array) ($request['modulefields'] ?? []);
        $options = [];
        foreach (array_keys(ButtonPanel::INPUTS) as $name) {
            $value = $fields["vmline_$name"] ?? '';
            if (is_string($value) && trim($value) !== '') {
                $options[$name] = mb_substr(trim($value), 0, ButtonPanel::MAX_INPUT);
            }
        }
        if ($options !== []) {
            Record::make($serviceId, $serverId);
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

    /**
     * @param array<string,mixed> $params
     * @return array{array<string,string>,array<array-key,mixed>} the fields, and what the gateway would do now
     */
    private static function machine(array $params, object $record): array
    {
        try {
            $service = Gateway::of($params)->service($record->ref);
            return [MachineView::rows($service, $record), (array) ($service['actions'] ?? [])];
        } catch (Refusal $refusal) {
            if ($refusal->type === Refusal::NOT_FOUND) {
                return [['Gateway' => self::warning(self::notMadeYet($record))], self::withoutMachine()];
            }
            $why = $refusal->getMessage();
        } catch (Failure $failure) {
            $why = $failure->getMessage();
        }
        // What was known last. No button is off because the gateway is away: it decides when one is pressed.
        $service = Record::state($record);
        $at = gmdate('Y-m-d H:i:s', (int) $record->updated_at);
        return $service === [] ? [['Gateway' => self::warning($why)], []]
            : [['Gateway' => self::warning("$why Last known at $at UTC:")] + MachineView::rows($service, $record), []];
    }

    private static function notMadeYet(object $record): string
    {
        return $record->operation_status === 'refused' ? 'The gateway has refused the order; the notification says why.'
            : 'The gateway has accepted the order and has no machine yet.';
    }

    private static function warning(string $why): string
    {
        return '<div class="alert alert-warning">' . Html::text($why) . '</div>';
    }

    /** @return list<array<string,mixed>> */
    private static function withoutMachine(): array
    {
        return array_map(static fn (string $verb): array => [
            'type' => $verb, 'allowed' => $verb === self::WITHOUT_MACHINE, 'reason' => 'There is no machine yet.',
        ], Buttons::verbs());
    }
}
