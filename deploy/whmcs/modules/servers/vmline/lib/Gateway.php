<?php

namespace WHMCS\Module\Server\Vmline;

/**
 * The gateway's HTTP API. Every call ends within its budget of time.
 */
final class Gateway
{
    /** Seconds that a command may take with its repetition. */
    public const BUDGET = 10.0;

    /** Seconds that a look may take while a person waits for a page. */
    public const LOOK = 4.0;

    /** The share of the budget that the first attempt may use up. */
    private const FIRST_ATTEMPT = 0.6;

    private const TOO_MANY = 429;

    /** A repetition with less time than this is not worth it. */
    private const MIN_SECONDS = 0.2;

    private readonly Transport $transport;

    /** @param \Closure():int $now */
    public function __construct(private readonly Server $server, private readonly \Closure $now)
    {
        $this->transport = new Transport($server);
    }

    public static function at(Server $server): self
    {
        return new self($server, \Closure::fromCallable('time'));
    }

    /** @param array<string,mixed> $params */
    public static function of(array $params): self
    {
        return self::at(Server::fromParams($params));
    }

    /**
     * @param array<string,mixed> $package
     * @return array<string,mixed> the operation
     */
    public function put(string $ref, array $package): array
    {
        return $this->call('PUT', "/v1/services/$ref", $package);
    }

    /** @return array<string,mixed> the operation */
    public function delete(string $ref): array
    {
        return $this->call('DELETE', "/v1/services/$ref");
    }

    public function remove(string $path): void
    {
        $this->call('DELETE', $path);
    }

    /**
     * @param array<string,mixed> $action type, package, params
     * @return array<string,mixed> the operation
     */
    public function act(string $ref, array $action): array
    {
        return $this->call('POST', "/v1/services/$ref/actions", $action);
    }

    /**
     * @param array<string,mixed> $action
     * @return array<string,mixed> what would be done, or why not
     */
    public function validate(string $ref, array $action): array
    {
        return $this->call('POST', "/v1/services/$ref/validate", $action, self::LOOK);
    }

    /** @return array<string,mixed> */
    public function service(string $ref): array
    {
        return $this->call('GET', "/v1/services/$ref", null, self::LOOK);
    }

    /** @return array<string,mixed> */
    public function operation(string $id): array
    {
        return $this->call('GET', '/v1/operations/' . rawurlencode($id), null, self::LOOK);
    }

    /**
     * Every service, page by page.
     *
     * @return \Generator<array<string,mixed>>
     */
    public function services(): \Generator
    {
        $cursor = '';
        do {
            $page = $this->get('/v1/services', ['limit' => 200] + ($cursor === '' ? [] : ['cursor' => $cursor]));
            foreach ((array) ($page['items'] ?? []) as $service) {
                yield (array) $service;
            }
            $cursor = (string) ($page['next_cursor'] ?? '');
        } while ($cursor !== '');
    }

    /**
     * @param array<string,scalar> $query
     * @return array<array-key,mixed>
     */
    public function get(string $path, array $query = [], float $seconds = self::BUDGET): array
    {
        return $this->call('GET', $path . ($query ? '?' . http_build_query($query) : ''), null, $seconds);
    }

    /**
     * @param array<string,mixed> $body
     * @return array<array-key,mixed>
     */
    public function post(string $path, array $body): array
    {
        return $this->call('POST', $path, $body);
    }

    /**
     * @param array<string,mixed>|null $body
     * @return array<array-key,mixed>
     * @throws Failure
     */
    private function call(string $method, string $target, ?array $body = null, float $seconds = self::BUDGET): array
    {
        $json = $body === null ? '' : json_encode($body, JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES);
        $key = bin2hex(random_bytes(16)); // the same in a repetition, so that the two are one
        try {
            $answer = $this->attempts($method, $target, $json, $key, $seconds);
        } catch (TransportFailure $failure) {
            $this->log($method, $target, $body, $failure->getMessage());
            throw $method === 'GET' ? $failure : self::explained($failure);
        }
        $this->log($method, $target, $body, "HTTP $answer->status\n$answer->body");
        if ($answer->status >= 300) {
            throw Refusal::of($answer, ($this->now)());
        }
        $decoded = $answer->json();
        if ($decoded === null && $answer->status !== 204) {
            throw new Refusal($answer->status, '', 'The answer is not one of the vmline gateway. Look at the host and port of the server.');
        }
        return $decoded ?? [];
    }

    /** A lost answer is asked for again, and one that says to come back soon is heeded, both within the time that there is. */
    private function attempts(string $method, string $target, string $json, string $key, float $seconds): Answer
    {
        $end = microtime(true) + $seconds;
        try {
            $answer = $this->attempt($method, $target, $json, $key, $seconds * self::FIRST_ATTEMPT);
            $wait = (int) $answer->header('retry-after');
            $left = $end - microtime(true) - $wait;
            if ($answer->status !== self::TOO_MANY || $wait <= 0 || $left < self::MIN_SECONDS) {
                return $answer;
            }
            sleep($wait); // a cron that suspends hundreds asks more than a key may
            return $this->attempt($method, $target, $json, $key, $left);
        } catch (TransportFailure $failure) {
            $left = $end - microtime(true);
            if (!$failure->mayHaveArrived || $left < self::MIN_SECONDS) {
                throw $failure;
            }
            return $this->attempt($method, $target, $json, $key, $left);
        }
    }

    private function attempt(string $method, string $target, string $json, string $key, float $seconds): Answer
    {
        $headers = ['accept' => 'application/json', 'user-agent' => 'vmline-whmcs', 'vmline-actor' => self::actor()];
        if ($json !== '') {
            $headers += ['content-type' => 'application/json', 'idempotency-key' => "\"$key\""];
        }
        if ($this->server->keyId === '') {
            $headers['authorization'] = 'Bearer ' . $this->server->secret;
        } else {
            $headers = Signature::sign(
                $this->server->keyId,
                $this->server->secret,
                $method,
                $this->server->authority(),
                $target,
                $headers,
                $json,
                ($this->now)(),
                bin2hex(random_bytes(12)),
            );
        }
        return $this->transport->send($method, $target, $headers, $json, $seconds);
    }

    /** For whom WHMCS acts; operations show it beside the key. */
    private static function actor(): string
    {
        return match (true) {
            !empty($_SESSION['adminid']) => 'admin:' . (int) $_SESSION['adminid'],
            !empty($_SESSION['uid']) => 'client:' . (int) $_SESSION['uid'],
            default => 'cron',
        };
    }

    private static function explained(TransportFailure $failure): TransportFailure
    {
        $kept = $failure->mayHaveArrived
            ? ' Whether it accepted the command is not known; sending it again is harmless.'
            : ' Nothing was changed.';
        return new TransportFailure($failure->getMessage() . $kept, $failure->mayHaveArrived);
    }

    /** @param array<string,mixed>|null $body */
    private function log(string $method, string $target, ?array $body, string $answer): void
    {
        Log::call("$method $target", $body ?? [], $answer, [$this->server->secret]);
    }
}
