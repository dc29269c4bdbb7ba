<?php

namespace Vmline\Tests;

use PHPUnit\Framework\TestCase;
use WHMCS\Module\Server\Vmline\Signature;
use WHMCS\Module\Server\Vmline\Webhook;

final class SignatureTest extends TestCase
{
    private const SECRET = 'the secret of the key';

    /** RFC 9421, appendix B.2.5. */
    public function testTheVectorOfTheRfc(): void
    {
        $key = base64_decode('uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==');
        $base = Signature::base(
            ['date', '@authority', 'content-type'],
            ['date' => 'Tue, 20 Apr 2021 02:07:55 GMT', '@authority' => 'example.com', 'content-type' => 'application/json'],
            '("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"'
        );
        $this->assertSame('pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=', base64_encode(Signature::hmac($base, $key)));
    }

    public function testContentDigest(): void
    {
        // RFC 9530, appendix D, and RFC 9421, section 2.1 use this body.
        $this->assertSame('sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:', Signature::digest('{"hello": "world"}'));
    }

    public function testWhatARequestWithABodySigns(): void
    {
        $signed = $this->sign('PUT', '/v1/services/w1-7', '{"a":1}');
        $parameters = '("@method" "@authority" "@path" "@query" "content-digest" "content-type" "idempotency-key")'
            . ';created=1700000000;keyid="whmcs-1";alg="hmac-sha256";nonce="0123456789abcdef01234567"';
        $this->assertSame("sig1=$parameters", $signed['signature-input']);
        $base = "\"@method\": PUT\n\"@authority\": gw.example:8443\n\"@path\": /v1/services/w1-7\n\"@query\": ?\n"
            . '"content-digest": ' . Signature::digest('{"a":1}') . "\n\"content-type\": application/json\n"
            . "\"idempotency-key\": \"k1\"\n\"@signature-params\": $parameters";
        $this->assertSame('sig1=:' . base64_encode(hash_hmac('sha256', $base, self::SECRET, true)) . ':', $signed['signature']);
    }

    public function testWhatARequestWithoutABodySigns(): void
    {
        $signed = $this->sign('GET', '/v1/events?after=5&limit=200', '');
        $this->assertStringStartsWith('sig1=("@method" "@authority" "@path" "@query");created=', $signed['signature-input']);
        $this->assertArrayNotHasKey('content-digest', $signed);
        $base = "\"@method\": GET\n\"@authority\": gw.example:8443\n\"@path\": /v1/events\n\"@query\": ?after=5&limit=200\n"
            . '"@signature-params": ' . substr($signed['signature-input'], strlen('sig1='));
        $this->assertSame('sig1=:' . base64_encode(hash_hmac('sha256', $base, self::SECRET, true)) . ':', $signed['signature']);
    }

    /** @dataProvider changes */
    public function testEveryPartCounts(string $method, string $target, string $body, string $key, int $now, string $nonce): void
    {
        $plain = $this->sign('PUT', '/v1/services/w1-7?x=1', '{"a":1}');
        $this->assertNotSame($plain['signature'], $this->sign($method, $target, $body, $key, $now, $nonce)['signature']);
    }

    /** @return iterable<string,list<mixed>> */
    public static function changes(): iterable
    {
        $same = ['PUT', '/v1/services/w1-7?x=1', '{"a":1}', 'k1', 1700000000, '0123456789abcdef01234567'];
        $others = ['POST', '/v1/services/w1-8?x=1', '{"a":2}', 'k2', 1700000001, '1123456789abcdef01234567'];
        foreach (['method', 'path', 'body', 'idempotency key', 'time', 'nonce'] as $i => $name) {
            yield $name => array_replace($same, [$i => $others[$i]]);
        }
        yield 'query' => array_replace($same, [1 => '/v1/services/w1-7?x=2']);
    }

    /** The vector of the Standard Webhooks specification. */
    public function testTheVectorOfStandardWebhooks(): void
    {
        $secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
        $body = '{"test": 2432232314}';
        $signature = 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=';
        $id = 'msg_p5jXN8AQM9LWM0D4loKWxJek';
        $this->assertSame($signature, Webhook::sign($id, 1614265330, $body, $secret));
        $genuine = static fn (string $time, string $signatures, string $body, int $now): bool
            => Webhook::isGenuine($id, $time, $signatures, $body, [$secret], $now);
        $this->assertTrue($genuine('1614265330', $signature, $body, 1614265330 + 300));
        $this->assertTrue($genuine('1614265330', "v1a,other v1,bm8= $signature", $body, 1614265330), 'one of several, while secrets change');
        $this->assertFalse($genuine('1614265330', $signature, $body, 1614265330 + 301), 'too late');
        $this->assertFalse($genuine('1614265331', $signature, $body, 1614265330), 'another time');
        $this->assertFalse($genuine('1614265330', $signature, $body . ' ', 1614265330), 'another body');
        $this->assertFalse($genuine('1614265330', '', $body, 1614265330), 'no signature');
        $this->assertFalse(Webhook::isGenuine($id, '1614265330', $signature, $body, [], 1614265330), 'no secret is known');
        $this->assertFalse(Webhook::isGenuine($id, '1614265330', 'v1,', $body, ['whsec_'], 1614265330), 'an empty secret');
    }

    private function sign(
        string $method,
        string $target,
        string $body,
        string $key = 'k1',
        int $now = 1700000000,
        string $nonce = '0123456789abcdef01234567',
    ): array {
        $headers = $body === '' ? [] : ['content-type' => 'application/json', 'idempotency-key' => "\"$key\""];
        return Signature::sign('whmcs-1', self::SECRET, $method, 'gw.example:8443', $target, $headers, $body, $now, $nonce);
    }
}
