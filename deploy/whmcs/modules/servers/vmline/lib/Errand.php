<?php

namespace WHMCS\Module\Server\Vmline;

/**
 * One row of the outbox, done.
 */
final class Errand
{
    /** The service whose ready mail this process sends now. */
    private static int $mailing = 0;

    /**
     * @return bool false if it is too early to tell
     * @throws \Throwable when it could not be done
     */
    public static function run(object $row, Gateway $gateway): bool
    {
        return match ($row->kind) {
            'ready_mail' => self::mail((int) $row->serviceid),
            'parked' => self::notify($row),
            'outcome' => self::outcome($row, $gateway),
        };
    }

    public static function mailing(int $serviceId): bool
    {
        return self::$mailing === $serviceId;
    }

    /** The product's welcome mail, which EmailPreSend held back when the order was accepted. */
    private static function mail(int $serviceId): bool
    {
        $template = Mails::welcome($serviceId);
        if ($template === null) {
            return true; // the product has none
        }
        self::$mailing = $serviceId;
        try {
            self::api('SendEmail', ['messagename' => $template, 'id' => $serviceId]);
        } finally {
            self::$mailing = 0;
        }
        return true;
    }

    private static function notify(object $row): bool
    {
        $said = self::payload($row);
        $what = ($said['status'] ?? '') === 'refused' ? 'was refused' : 'needs a person';
        $title = trim(($said['type'] ?? '') . " of service $row->serviceid $what");
        self::api('TriggerNotificationEvent', [
            'notification_identifier' => "vmline.$row->kind",
            'title' => $title . (($said['step'] ?? '') === '' ? '' : " before {$said['step']}"),
            'message' => implode(' ', array_filter([$said['cause'] ?? '', $said['kept'] ?? '', $said['next'] ?? ''])),
            'url' => AdminTab::url((int) $row->serviceid),
            'status' => 'Waiting',
            'statusStyle' => 'danger',
        ]);
        return true;
    }

    /** What became of a command of which no event came. */
    private static function outcome(object $row, Gateway $gateway): bool
    {
        try {
            $operation = $gateway->operation(self::payload($row)['operation'] ?? '');
        } catch (Refusal $refusal) {
            if ($refusal->type !== Refusal::NOT_FOUND) {
                throw $refusal;
            }
            return true; // so old that the gateway has forgotten it
        }
        if (($operation['status'] ?? '') === 'refused') {
            Applier::refused((int) $row->serviceid, (int) $row->serverid, $operation);
        }
        return !in_array($operation['status'] ?? '', ['accepted', 'queued'], true);
    }

    /** @return array<string,string> */
    private static function payload(object $row): array
    {
        return array_map('strval', (array) json_decode($row->payload, true));
    }

    /** @param array<string,mixed> $values */
    private static function api(string $command, array $values): void
    {
        $answer = \localAPI($command, $values);
        if (($answer['result'] ?? '') !== 'success') {
            throw new Failure("$command: " . ($answer['message'] ?? 'no success'));
        }
    }
}
