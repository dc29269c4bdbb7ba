<?php

namespace WHMCS\Module\Server\Vmline;

use WHMCS\Database\Capsule;

/**
 * One gateway as the admin entered it under System Settings > Servers.
 *
 * Username is the key id, Password its secret, Access Hash the fingerprint of the gateway's certificate. Without
 * a user name, the password is a bearer token.
 */
final class Server
{
    public const SECURE_PORT = 8443;
    public const PLAIN_PORT = 8080;

    private function __construct(
        public readonly int $id,
        public readonly string $host,
        public readonly int $port,
        public readonly bool $secure,
        public readonly string $keyId,
        #[\SensitiveParameter]
        public readonly string $secret,
        public readonly string $fingerprint,
    ) {
    }

    /**
     * @param array<string,mixed> $params as WHMCS gives them to every function
     * @throws Failure when there is no host, or secrets would travel in clear
     */
    public static function fromParams(array $params): self
    {
        return self::make(
            (int) ($params['serverid'] ?? 0),
            (string) (($params['serverhostname'] ?? '') ?: ($params['serverip'] ?? '')),
            (int) ($params['serverport'] ?? 0),
            !empty($params['serversecure']),
            (string) ($params['serverusername'] ?? ''),
            (string) ($params['serverpassword'] ?? ''),
            (string) ($params['serveraccesshash'] ?? ''),
        );
    }

    /** @throws Failure when there is no such server */
    public static function fromId(int $id): self
    {
        $row = Capsule::table('tblservers')->where('id', $id)->where('type', 'vmline')->first();
        if ($row === null) {
            throw new Failure("There is no vmline server with the id $id in WHMCS.");
        }
        return self::make(
            $id,
            (string) ($row->hostname ?: $row->ipaddress),
            (int) ($row->port ?? 0),
            in_array((string) $row->secure, ['on', '1'], true),
            (string) $row->username,
            (string) \decrypt((string) $row->password),
            (string) $row->accesshash,
        );
    }

    /** The same gateway, with a bearer token in place of the key. */
    public function withToken(
        #[\SensitiveParameter]
        string $token,
    ): self {
        return new self($this->id, $this->host, $this->port, $this->secure, '', trim($token), $this->fingerprint);
    }

    /** @return list<int> the ids of every gateway in use */
    public static function ids(): array
    {
        $rows = Capsule::table('tblservers')->where('type', 'vmline')->where('disabled', 0)->orderBy('id');
        return array_map('intval', $rows->pluck('id')->all());
    }

    /** The host as it stands in a URL and, without the default port, in the signed @authority. */
    public function authority(): string
    {
        $host = strtolower(str_contains($this->host, ':') ? "[$this->host]" : $this->host);
        return $this->port === ($this->secure ? 443 : 80) ? $host : "$host:$this->port";
    }

    public function url(): string
    {
        return ($this->secure ? 'https://' : 'http://') . $this->authority();
    }

    private static function make(
        int $id,
        string $host,
        int $port,
        bool $secure,
        string $keyId,
        #[\SensitiveParameter]
        string $secret,
        string $fingerprint,
    ): self {
        $host = trim($host, " \t\n[]");
        if ($host === '') {
            throw new Failure('The server has no hostname. Enter the gateway\'s under System Settings > Servers.');
        }
        if (!preg_match('/^[A-Za-z0-9.:-]+$/D', $host)) {
            throw new Failure('The server\'s hostname is not one: leave out https:// and any path.');
        }
        if (!$secure && !in_array(strtolower($host), ['127.0.0.1', '::1', 'localhost'], true)) {
            throw new Failure('Passwords travel over TLS only: tick "Secure" in the server\'s settings.');
        }
        $port = $port ?: ($secure ? self::SECURE_PORT : self::PLAIN_PORT);
        return new self($id, $host, $port, $secure, trim($keyId), trim($secret), trim($fingerprint));
    }
}
