<?php

namespace WHMCS\Module\Server\Vmline;

/**
 * Checks a webhook by Standard Webhooks 1.0.0. It is only a doorbell: what it says is not believed, it makes the
 * module look.
 */
final class Webhook
{
    /** Seconds by which a webhook may be early or late. */
    private const WINDOW = 300;

    public const MAX_BODY = 65536;

    /**
     * @param list<string> $secrets each whsec_ and base64
     * @param int $now unix time
     */
    public static function isGenuine(string $id, string $timestamp, string $signatures, string $body, array $secrets, int $now): bool
    {
        if ($id === '' || !preg_match('/^\d{1,12}$/D', $timestamp) || abs($now - (int) $timestamp) > self::WINDOW) {
            return false;
        }
        foreach ($secrets as $secret) {
            $expected = self::sign($id, (int) $timestamp, $body, $secret);
            foreach (explode(' ', $signatures) as $signature) {
                if ($expected !== '' && hash_equals($expected, $signature)) {
                    return true;
                }
            }
        }
        return false;
    }

    /** Empty if the secret is none. */
    public static function sign(
        string $id,
        int $timestamp,
        string $body,
        #[\SensitiveParameter]
        string $secret,
    ): string {
        $key = base64_decode(preg_replace('/^whsec_/', '', $secret) ?? '', true);
        if ($key === false || strlen($key) < 24) {
            return '';
        }
        return 'v1,' . base64_encode(hash_hmac('sha256', "$id.$timestamp.$body", $key, true));
    }
}
