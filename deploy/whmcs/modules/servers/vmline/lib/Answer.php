<?php

namespace WHMCS\Module\Server\Vmline;

/**
 * What an HTTP server answered.
 */
final class Answer
{
    /** @param array<string,string> $headers under lower-case names */
    public function __construct(
        public readonly int $status,
        public readonly array $headers,
        public readonly string $body,
    ) {
    }

    public function header(string $name): string
    {
        return $this->headers[strtolower($name)] ?? '';
    }

    /** @return array<array-key,mixed>|null null if the body is not a JSON object or list */
    public function json(): ?array
    {
        $value = json_decode($this->body, true, 64);
        return is_array($value) ? $value : null;
    }
}
