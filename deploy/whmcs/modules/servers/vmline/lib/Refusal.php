<?php

namespace WHMCS\Module\Server\Vmline;

/**
 * The gateway answered, and did not do what was asked: a problem by RFC 9457.
 */
final class Refusal extends Failure
{
    public const NOT_FOUND = 'urn:vmline:problem:not-found';

    public function __construct(
        public readonly int $status,
        public readonly string $type,
        string $message,
    ) {
        parent::__construct($message);
    }

    /** @param int $now to tell whether the clocks explain a refused signature */
    public static function of(Answer $answer, int $now): self
    {
        $problem = $answer->json();
        if ($problem === null || !is_string($problem['title'] ?? null)) {
            return new self($answer->status, '', "HTTP $answer->status came from something that is not the vmline gateway."
                . ' Look at the host and port of the server, and at any proxy on the way.');
        }
        $message = self::text($problem);
        $skew = self::skew($answer, $now);
        if ($answer->status === 401 && abs($skew) > 30) {
            $message .= " The clock of this server differs from the gateway's by $skew seconds: set it right.";
        }
        return new self($answer->status, (string) ($problem['type'] ?? ''), $message);
    }

    /** Seconds by which this machine's clock is ahead of the one that answered. */
    public static function skew(Answer $answer, int $now): int
    {
        $theirs = strtotime($answer->header('date'));
        return $theirs === false ? 0 : $now - $theirs;
    }

    /**
     * What a person reads: what happened, each wrong value, what to do next.
     *
     * @param array<string,mixed> $problem
     */
    public static function text(array $problem): string
    {
        $parts = [self::line($problem['detail'] ?? '') ?: self::line($problem['title'] ?? '')];
        foreach (array_slice((array) ($problem['errors'] ?? []), 0, 5) as $error) {
            $error = (array) $error;
            $where = preg_replace('/^body\.(package\.)?/', '', self::line($error['location'] ?? ''));
            $parts[] = trim("$where: " . self::line($error['message'] ?? ''), ': ') . '.';
        }
        $parts[] = self::line($problem['next'] ?? '');
        return str_replace('..', '.', implode(' ', array_filter($parts)));
    }

    private static function line(mixed $value): string
    {
        return is_scalar($value) ? trim(preg_replace('/\s+/', ' ', (string) $value) ?? '') : '';
    }
}
