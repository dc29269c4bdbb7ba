<?php

namespace WHMCS\Module\Server\Vmline;

use WHMCS\Database\Capsule;

/**
 * Where the gateway rings when something happened, so that WHMCS need not wait for its next cron run.
 */
final class Doorbell
{
    private const FORBIDDEN = 403;

    /**
     * Tells a gateway the address of callback.php, and keeps the secret that it answers with. A doorbell from before
     * is taken away.
     *
     * @param string $token of an admin of the gateway, for this call alone: the key of WHMCS is for machines
     * @return string the address
     * @throws Failure
     */
    public static function register(
        int $serverId,
        #[\SensitiveParameter]
        string $token = '',
    ): string {
        $server = Server::fromId($serverId);
        $gateway = Gateway::at($token === '' ? $server : $server->withToken($token));
        $url = self::url();
        try {
            $endpoint = $gateway->post('/v1/webhook-endpoints', ['url' => $url]);
        } catch (Refusal $refusal) {
            $hint = $refusal->status === self::FORBIDDEN ? ' Put an admin\'s token into the environment variable VMLINE_TOKEN for this call.' : '';
            throw new Failure($refusal->getMessage() . $hint);
        }
        $secret = (string) ($endpoint['secret'] ?? '');
        if (Webhook::sign('check', 0, '', $secret) === '') {
            throw new Failure('The gateway answered without a secret for the webhook.');
        }
        $before = Meta::get("webhook-id:$serverId");
        Meta::set("webhook:$serverId", \encrypt($secret));
        Meta::set("webhook-id:$serverId", (string) ($endpoint['id'] ?? ''));
        if ((string) $before !== '') {
            self::remove($gateway, (string) $before);
        }
        return $url;
    }

    /** @return array<int,string> secret of each gateway that has one */
    public static function secrets(): array
    {
        $secrets = [];
        foreach (Server::ids() as $id) {
            $sealed = Meta::get("webhook:$id");
            if ($sealed !== null) {
                $secrets[$id] = (string) \decrypt($sealed);
            }
        }
        return $secrets;
    }

    private static function url(): string
    {
        $base = (string) Capsule::table('tblconfiguration')->where('setting', 'SystemURL')->value('value');
        if ($base === '') {
            throw new Failure('WHMCS has no System URL under General Settings.');
        }
        return rtrim($base, '/') . '/modules/servers/vmline/callback.php';
    }

    private static function remove(Gateway $gateway, string $id): void
    {
        try {
            $gateway->remove('/v1/webhook-endpoints/' . rawurlencode($id));
        } catch (Refusal $refusal) {
            if ($refusal->type !== Refusal::NOT_FOUND) {
                throw $refusal;
            }
        }
    }
}
