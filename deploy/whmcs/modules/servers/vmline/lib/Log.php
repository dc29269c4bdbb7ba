<?php

namespace WHMCS\Module\Server\Vmline;

/**
 * WHMCS's module log and activity log, without secrets.
 */
final class Log
{
    private const HIDDEN = '********';

    /** Names of what is secret in requests and answers. */
    private const NAMES = ['password', 'secret', 'token'];

    /**
     * @param array<string,mixed> $request
     * @param list<string> $secrets to hide wherever they stand
     */
    public static function call(string $action, array $request, string $answer, array $secrets): void
    {
        array_push($secrets, ...self::secretsOf($request), ...self::secretsOf((array) json_decode(strstr($answer, '{') ?: '', true)));
        $secrets = array_values(array_unique(array_filter($secrets, static fn (string $s): bool => $s !== '')));
        $text = json_encode($request, JSON_UNESCAPED_SLASHES | JSON_PARTIAL_OUTPUT_ON_ERROR) ?: '';
        $hidden = self::forms($secrets);
        \logModuleCall(
            'vmline',
            $action,
            str_replace($hidden, self::HIDDEN, $text),
            str_replace($hidden, self::HIDDEN, $answer),
            '',
            $secrets
        );
    }

    /** One line in the activity log. */
    public static function activity(string $message): void
    {
        \logActivity("vmline: $message");
    }

    /** Where something was thrown that nobody expected. Its message may hold what was being written, so it is left out. */
    public static function thrown(\Throwable $error): void
    {
        self::activity($error::class . ' in ' . basename($error->getFile()) . ':' . $error->getLine());
    }

    /**
     * What stands under the name of a secret.
     *
     * @param array<array-key,mixed> $tree
     * @return list<string>
     */
    private static function secretsOf(array $tree): array
    {
        $secrets = [];
        array_walk_recursive($tree, static function (mixed $value, int|string $name) use (&$secrets): void {
            if (in_array($name, self::NAMES, true) && is_string($value)) {
                $secrets[] = $value;
            }
        });
        return $secrets;
    }

    /**
     * Each secret as it is and as it stands in JSON.
     *
     * @param list<string> $secrets
     * @return list<string>
     */
    private static function forms(array $secrets): array
    {
        $forms = $secrets;
        foreach ($secrets as $secret) {
            $forms[] = trim(json_encode($secret, JSON_UNESCAPED_SLASHES) ?: $secret, '"');
            $forms[] = trim(json_encode($secret) ?: $secret, '"');
        }
        return $forms;
    }
}
