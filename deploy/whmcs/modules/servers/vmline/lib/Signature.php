<?php

namespace WHMCS\Module\Server\Vmline;

/**
 * Signs a request by RFC 9421 (hmac-sha256) with a Content-Digest by RFC 9530.
 */
final class Signature
{
    private const LABEL = 'sig1';

    /** What every request signs. */
    private const ALWAYS = ['@method', '@authority', '@path', '@query'];

    /** What a request with a body signs as well. */
    private const WITH_BODY = ['content-digest', 'content-type', 'idempotency-key'];

    /**
     * @param string $target path with query, as it is sent
     * @param array<string,string> $headers lower-case names; of a request with a body content-type and idempotency-key
     * @return array<string,string> $headers and those of the signature
     */
    public static function sign(
        string $keyId,
        #[\SensitiveParameter]
        string $secret,
        string $method,
        string $authority,
        string $target,
        array $headers,
        string $body,
        int $now,
        string $nonce,
    ): array {
        $components = self::ALWAYS;
        if ($body !== '') {
            $headers['content-digest'] = self::digest($body);
            $components = [...$components, ...self::WITH_BODY];
        }
        [$path, $query] = array_pad(explode('?', $target, 2), 2, '');
        $values = [
            '@method' => $method,
            '@authority' => $authority,
            '@path' => $path,
            '@query' => '?' . $query,
        ] + $headers;
        $parameters = self::parameters($components, $now, $keyId, $nonce);
        $base = self::base($components, $values, $parameters);
        $headers['signature-input'] = self::LABEL . '=' . $parameters;
        $headers['signature'] = self::LABEL . '=:' . base64_encode(self::hmac($base, $secret)) . ':';
        return $headers;
    }

    public static function digest(string $body): string
    {
        return 'sha-256=:' . base64_encode(hash('sha256', $body, true)) . ':';
    }

    /**
     * The text that is signed (RFC 9421, section 2.5).
     *
     * @param list<string> $components
     * @param array<string,string> $values
     */
    public static function base(array $components, array $values, string $parameters): string
    {
        $lines = [];
        foreach ($components as $name) {
            $lines[] = "\"$name\": " . trim($values[$name]);
        }
        $lines[] = "\"@signature-params\": $parameters";
        return implode("\n", $lines);
    }

    public static function hmac(
        string $base,
        #[\SensitiveParameter]
        string $secret,
    ): string {
        return hash_hmac('sha256', $base, $secret, true);
    }

    /** @param list<string> $components */
    private static function parameters(array $components, int $now, string $keyId, string $nonce): string
    {
        $list = '"' . implode('" "', $components) . '"';
        $keyId = addcslashes($keyId, '"\\');
        return "($list);created=$now;keyid=\"$keyId\";alg=\"hmac-sha256\";nonce=\"$nonce\"";
    }
}
