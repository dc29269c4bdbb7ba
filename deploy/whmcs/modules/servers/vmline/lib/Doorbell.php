<?php

namespace WHMCS\Module\Server\Vmline;

use WHMCS\Database\Capsule;

/**
 * Where the gateway rings when something happened, so that WHMCS need not wait for its next cron run.
 */
final class Doorbell
{
    /** Tells a gateway the address of callback.php, and keeps the secret that it answers with. */
    public static function register(int $serverId): string
    {
        $base = (string) Capsule::table('tblconfiguration')->where('setting', 'SystemURL')->value('value');
        if (!str_starts_with($base, 'https://')) {
            throw new Failure('WHMCS has no System URL with https:// under General Settings.');
        }
        $url = rtrim($base, '/') . '/modules/servers/vmline/callback.php';
        $endpoint = Gateway::at(Server::fromId($serverId))->post('/v1/webhook-endpoints', ['url' => $url]);
        $secret = (string) ($endpoint['secret'] ?? '');
        if (Webhook::sign('check', 0, '', $secret) === '') {
            throw new Failure('The gateway answered without a secret for the webhook.');
        }
        Meta::set("webhook:$serverId", \encrypt($secret));
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
}
