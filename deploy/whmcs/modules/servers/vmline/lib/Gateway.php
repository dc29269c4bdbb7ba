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

    private readonly Caller $caller;

    /** @param \Closure():int $now unix time */
    public function __construct(Server $server, \Closure $now)
    {
        $this->caller = new Caller($server, $now);
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
        return $this->caller->call('PUT', "/v1/services/$ref", $package);
    }

    /** @return array<string,mixed> the operation */
    public function delete(string $ref): array
    {
        return $this->caller->call('DELETE', "/v1/services/$ref");
    }

    public function remove(string $path): void
    {
        $this->caller->call('DELETE', $path);
    }

    /**
     * @param array<string,mixed> $action type, package, params
     * @return array<string,mixed> the operation
     */
    public function act(string $ref, array $action): array
    {
        return $this->caller->call('POST', "/v1/services/$ref/actions", $action);
    }

    /**
     * @param array<string,mixed> $action
     * @return array<string,mixed> what would be done, or why not
     */
    public function validate(string $ref, array $action): array
    {
        return $this->caller->call('POST', "/v1/services/$ref/validate", $action, self::LOOK);
    }

    /** @return array<string,mixed> */
    public function service(string $ref): array
    {
        return $this->caller->call('GET', "/v1/services/$ref", null, self::LOOK);
    }

    /** @return array<string,mixed> */
    public function operation(string $id): array
    {
        return $this->caller->call('GET', '/v1/operations/' . rawurlencode($id), null, self::LOOK);
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
        return $this->caller->call('GET', $path . ($query ? '?' . http_build_query($query) : ''), null, $seconds);
    }

    /**
     * @param array<string,mixed> $body
     * @return array<array-key,mixed>
     */
    public function post(string $path, array $body): array
    {
        return $this->caller->call('POST', $path, $body);
    }
}
