<?php

namespace WHMCS\Module\Server\Vmline;

/**
 * Makes one call of the API: signs it, repeats it if its answer is lost, logs it without secrets, and makes a failure
 * of what is no success.
 */
final class Caller
{
    /** The share of the budget that the first attempt may use up. */
    private const FIRST_ATTEMPT = 0.6;

    private const TOO_MANY = 429;

    /** A repetition with less time than this is not worth it. */
    private const MIN_SECONDS = 0.2;

    private readonly Transport $transport;

    /** @param \Closure():int $now unix time */
    public function __construct(private readonly Server $server, private readonly \Closure $now)
    {
        $this->transport = new Transport($server);
    }

    /**
     * @param array<string,mixed>|null $body
     * @return array<array-key,mixed>
     * @throws Failure
     */
    public function call(string $method, string $target, ?array $body = null, float $seconds = Gateway::BUDGET): array
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
