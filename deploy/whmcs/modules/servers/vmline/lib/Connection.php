<?php

namespace WHMCS\Module\Server\Vmline;

/**
 * The "Test Connection" button: certificate, signature, version, clock, and what the key may do.
 */
final class Connection
{
    /** Seconds by which clocks may differ; a signature is good for 60 in one direction. */
    private const MAX_SKEW = 30;

    /** @return array{success:bool,error:string} */
    public static function test(Gateway $gateway, int $now): array
    {
        try {
            $version = $gateway->get('/v1/version', [], Gateway::LOOK);
        } catch (Refusal $refusal) {
            $old = $refusal->type === Refusal::NOT_FOUND;
            return self::failed($old ? 'This gateway is older than the module: update it.' : $refusal->getMessage());
        } catch (Failure $failure) {
            return self::failed($failure->getMessage());
        }
        if (!is_string($version['version'] ?? null)) {
            return self::failed('What answers there is not a vmline gateway.');
        }
        $theirs = strtotime((string) ($version['time'] ?? ''));
        $skew = $theirs === false ? 0 : $now - $theirs;
        if (abs($skew) > self::MAX_SKEW) {
            return self::failed("The clocks of this server and the gateway differ by $skew seconds. Set them right, or orders will be refused.");
        }
        if (($version['scope'] ?? '') === 'read') {
            return self::failed('This key may only look. Make one with the scope operate.');
        }
        Tables::ensure();
        return ['success' => true, 'error' => ''];
    }

    /** @return array{success:bool,error:string} */
    private static function failed(string $why): array
    {
        return ['success' => false, 'error' => $why];
    }
}
