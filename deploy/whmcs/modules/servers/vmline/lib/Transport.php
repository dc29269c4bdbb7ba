<?php

namespace WHMCS\Module\Server\Vmline;

/**
 * One HTTP request over cURL, within limits of time and size, to a server that has proved who it is.
 */
final class Transport
{
    private const CONNECT_SECONDS = 3.0;
    private const MAX_ANSWER = 16 << 20;

    public function __construct(private readonly Server $server)
    {
    }

    /**
     * @param string $target path with query
     * @param array<string,string> $headers
     * @throws TransportFailure
     */
    public function send(string $method, string $target, array $headers, string $body, float $seconds): Answer
    {
        $started = microtime(true);
        $handle = $this->handle(min($seconds, self::CONNECT_SECONDS));
        $received = '';
        $answerHeaders = [];
        curl_setopt_array($handle, [
            CURLOPT_URL => $this->server->url() . $target,
            CURLOPT_CUSTOMREQUEST => $method,
            CURLOPT_HTTPHEADER => self::lines($headers),
            CURLOPT_HEADERFUNCTION => static function ($handle, string $line) use (&$answerHeaders): int {
                [$name, $value] = array_pad(explode(':', $line, 2), 2, '');
                $answerHeaders[strtolower(trim($name))] = trim($value);
                return strlen($line);
            },
            CURLOPT_WRITEFUNCTION => static function ($handle, string $data) use (&$received): int {
                $received .= $data;
                return strlen($received) > self::MAX_ANSWER ? -1 : strlen($data);
            },
        ]);
        if ($body !== '') {
            curl_setopt($handle, CURLOPT_POSTFIELDS, $body);
        }
        $left = $seconds - (microtime(true) - $started); // the look for the certificate may have taken some
        curl_setopt($handle, CURLOPT_TIMEOUT_MS, max(1, (int) ($left * 1000)));
        curl_exec($handle);
        if (curl_errno($handle) !== 0) {
            throw $this->failure($handle);
        }
        return new Answer((int) curl_getinfo($handle, CURLINFO_RESPONSE_CODE), $answerHeaders, $received);
    }

    private function handle(float $connectSeconds): \CurlHandle
    {
        $handle = curl_init();
        curl_setopt_array($handle, [
            CURLOPT_PROTOCOLS => $this->server->secure ? CURLPROTO_HTTPS : CURLPROTO_HTTP,
            CURLOPT_FOLLOWLOCATION => false,
            CURLOPT_CONNECTTIMEOUT_MS => max(1, (int) ($connectSeconds * 1000)),
            CURLOPT_NOSIGNAL => true,
            CURLOPT_SSLVERSION => CURL_SSLVERSION_TLSv1_2,
        ]);
        if ($this->server->secure && $this->server->fingerprint !== '') {
            curl_setopt_array($handle, [
                CURLOPT_SSL_VERIFYPEER => false, // the pin takes the place of an authority
                CURLOPT_SSL_VERIFYHOST => 0,
                CURLOPT_PINNEDPUBLICKEY => (new Pin($this->server))->publicKey($connectSeconds),
            ]);
        }
        return $handle;
    }

    private function failure(\CurlHandle $handle): TransportFailure
    {
        $sent = curl_getinfo($handle, CURLINFO_PRETRANSFER_TIME) > 0;
        $where = $this->server->url();
        return match (curl_errno($handle)) {
            CURLE_SSL_PINNEDPUBKEYNOTMATCH => new TransportFailure(Pin::MISMATCH, false),
            CURLE_SSL_CACERT, CURLE_SSL_CACERT_BADFILE, 51 => new TransportFailure(
                "The certificate of $where is signed by nobody whom this machine trusts. If the gateway made it itself,"
                . ' paste the fingerprint that it prints into the server\'s Access Hash.',
                false
            ),
            CURLE_OPERATION_TIMEDOUT => new TransportFailure("The gateway at $where did not answer in time.", $sent),
            CURLE_WRITE_ERROR => new TransportFailure("The answer of $where is too long to be vmline's.", $sent),
            default => new TransportFailure("The gateway at $where cannot be reached: " . curl_error($handle), $sent),
        };
    }

    /**
     * @param array<string,string> $headers
     * @return list<string>
     */
    private static function lines(array $headers): array
    {
        $lines = ['Expect:']; // cURL would wait for "100 Continue"
        foreach ($headers as $name => $value) {
            $lines[] = "$name: $value";
        }
        return $lines;
    }
}
