<?php

namespace WHMCS\Module\Server\Vmline;

/**
 * Makes a machine's name, or its account's, from a rule such as "vm-{client_id}-{service_id}".
 */
final class NameRule
{
    public const DEFAULT = '{client_id}-{service_id}';

    private const MAX_LABEL = 63;

    private const MAX_ACCOUNT = 32;

    /**
     * @param \Closure(int,int):int $random a number between two, both included
     * @throws Failure when the rule has an unknown macro
     */
    public static function make(string $rule, int $clientId, int $serviceId, int $now, \Closure $random): string
    {
        return self::label(self::expand(trim($rule) ?: self::DEFAULT, $clientId, $serviceId, $now, $random));
    }

    /** Whether a text has macros: it is a rule then, and no name. */
    public static function isRule(string $text): bool
    {
        return str_contains($text, '{');
    }

    /**
     * The nearest name of an account to what the rule makes.
     *
     * @param \Closure(int,int):int $random a number between two, both included
     * @throws Failure when the rule has an unknown macro
     */
    public static function account(string $rule, int $clientId, int $serviceId, int $now, \Closure $random): string
    {
        $name = self::expand($rule, $clientId, $serviceId, $now, $random);
        $account = trim(preg_replace('/[^a-z0-9_-]+/', '-', strtolower($name)) ?? '', '-');
        return substr(preg_match('/^[a-z_]/', $account) ? $account : "u$account", 0, self::MAX_ACCOUNT);
    }

    /** @param \Closure(int,int):int $random */
    private static function expand(string $rule, int $clientId, int $serviceId, int $now, \Closure $random): string
    {
        return preg_replace_callback('/\{([^{}]*)\}/', static function (array $match) use ($rule, $clientId, $serviceId, $now, $random): string {
            [$macro, $count] = array_pad(explode(':', strtolower($match[1]), 2), 2, '');
            $length = $count === '' ? 4 : max(1, min(16, (int) $count));
            return match ($macro) {
                'client_id' => (string) $clientId,
                'service_id' => (string) $serviceId,
                'random_digit', 'random_digits' => self::pick('0123456789', $length, $random),
                'random_letter', 'random_letters' => self::pick('abcdefghijklmnopqrstuvwxyz', $length, $random),
                'unixtime', 'unix_time' => (string) $now,
                'year' => gmdate('Y', $now),
                'month' => gmdate('m', $now),
                'day' => gmdate('d', $now),
                'hour' => gmdate('H', $now),
                'minute' => gmdate('i', $now),
                'second' => gmdate('s', $now),
                default => throw new Failure("The rule \"$rule\" has the unknown macro $match[0]."),
            };
        }, $rule) ?? '';
    }

    /**
     * The nearest DNS label to a text.
     *
     * @throws Failure when nothing is left of it
     */
    public static function label(string $text): string
    {
        $label = preg_replace('/[^a-z0-9-]+/', '-', strtolower($text)) ?? '';
        $label = trim(substr(trim($label, '-'), 0, self::MAX_LABEL), '-');
        if ($label === '') {
            throw new Failure("No machine can be named \"$text\": a name has letters, digits and hyphens.");
        }
        return $label;
    }

    /** @param \Closure(int,int):int $random */
    private static function pick(string $from, int $length, \Closure $random): string
    {
        $picked = '';
        while (strlen($picked) < $length) {
            $picked .= $from[$random(0, strlen($from) - 1)];
        }
        return $picked;
    }
}
