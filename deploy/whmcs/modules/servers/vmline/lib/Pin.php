<?php

namespace WHMCS\Module\Server\Vmline;

/**
 * The public key that the gateway must have, from the fingerprint in the server's Access Hash.
 *
 * cURL can hold a connection against a public key before anything is sent, but not against a certificate's
 * fingerprint. So a fingerprint is turned into a key once: a connection over which nothing is sent shows the
 * certificate, and the key of the one that fits the fingerprint is remembered.
 */
final class Pin
{
    public const MISMATCH = 'The server that answered is not the gateway whose fingerprint is in the Access Hash. Nothing was'
        . ' sent to it. If the gateway has a new certificate, paste its new fingerprint; else somebody stands between.';

    public function __construct(private readonly Server $server)
    {
    }

    /**
     * @return string as CURLOPT_PINNEDPUBLICKEY wants it
     * @throws TransportFailure when the certificate is another, or could not be seen
     */
    public function publicKey(float $seconds): string
    {
        $text = $this->server->fingerprint;
        if (preg_match('~^sha256//[A-Za-z0-9+/]{43}=$~D', $text)) {
            return $text;
        }
        $fingerprint = strtolower(preg_replace('/^sha-?256[:=\s]*|[:\s]/i', '', $text) ?? '');
        if (!preg_match('/^[0-9a-f]{64}$/D', $fingerprint)) {
            throw new TransportFailure('The Access Hash is not a SHA-256 fingerprint: 64 hexadecimal digits.', false);
        }
        $name = 'pin:' . $fingerprint;
        $known = Meta::get($name);
        if ($known !== null) {
            return $known;
        }
        $certificate = $this->certificate($seconds);
        if (!hash_equals($fingerprint, (string) openssl_x509_fingerprint($certificate, 'sha256'))) {
            throw new TransportFailure(self::MISMATCH, false);
        }
        $pin = self::pinOf($certificate);
        Meta::set($name, $pin);
        return $pin;
    }

    private static function pinOf(string $certificate): string
    {
        $pem = (string) (openssl_pkey_get_details(openssl_pkey_get_public($certificate))['key'] ?? '');
        $der = base64_decode(preg_replace('/-----[^-]+-----|\s/', '', $pem) ?? '');
        return 'sha256//' . base64_encode(hash('sha256', $der, true));
    }

    private function certificate(float $seconds): string
    {
        $handle = curl_init($this->server->url());
        curl_setopt_array($handle, [
            CURLOPT_CONNECT_ONLY => true,
            CURLOPT_CERTINFO => true,
            CURLOPT_SSL_VERIFYPEER => false,
            CURLOPT_SSL_VERIFYHOST => 0,
            CURLOPT_NOSIGNAL => true,
            CURLOPT_TIMEOUT_MS => max(1, (int) ($seconds * 1000)),
        ]);
        curl_exec($handle);
        $certificate = curl_getinfo($handle, CURLINFO_CERTINFO)[0]['Cert'] ?? '';
        if ($certificate === '') {
            $why = curl_error($handle) ?: 'it showed no certificate';
            throw new TransportFailure("The gateway at {$this->server->url()} cannot be reached: $why", false);
        }
        return $certificate;
    }
}
