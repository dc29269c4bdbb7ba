<?php

namespace Vmline\Tests;

use WHMCS\Database\Capsule;
use WHMCS\Module\Server\Vmline\Gateway;
use WHMCS\Module\Server\Vmline\Meta;
use WHMCS\Module\Server\Vmline\Pin;
use WHMCS\Module\Server\Vmline\Refusal;
use WHMCS\Module\Server\Vmline\Server;

/**
 * Who talks to whom: certificate, signature, clock, scope.
 */
final class RealConnectionTest extends RealCase
{
    public function testTheConnectionTest(): void
    {
        foreach (['admin', 'operate'] as $scope) {
            $this->key($scope);
            $this->assertSame(['success' => true, 'error' => ''], vmline_TestConnection($this->params()));
        }
        $this->key('read');
        $this->assertStringContainsString('may only look', vmline_TestConnection($this->params())['error']);
    }

    /** @dataProvider wrongKeys */
    public function testAWrongKeyIsRefused(string $id, string $secret): void
    {
        $this->server(getenv('VMLINE_URL'), $id, $secret, getenv('VMLINE_FINGERPRINT'));
        $test = vmline_TestConnection($this->params());
        $this->assertFalse($test['success']);
        $this->assertNotSame('', $test['error']);
        $this->assertSame($test['error'], vmline_CreateAccount($this->params()));
        $this->assertStringNotContainsString($secret, json_encode($this->calls('logModuleCall'), JSON_UNESCAPED_SLASHES));
        $this->key('operate');
        $this->assertNoMachine();
    }

    /** @return iterable<string,list<string>> */
    public static function wrongKeys(): iterable
    {
        yield 'another secret' => ['whmcs-operate', 'another-secret-that-is-long-enough-to-be-one'];
        yield 'an unknown key' => ['whmcs-9', 'another-secret-that-is-long-enough-to-be-one'];
        yield 'a token that is none' => ['', 'vps_another-token-that-is-long-enough'];
    }

    public function testAKeyThatMayOnlyLookOrdersNothing(): void
    {
        $this->key('read');
        $this->assertStringContainsString('operate', vmline_CreateAccount($this->params()), 'it names the scope that is needed');
        $this->assertTrue(vmline_ListAccounts($this->params())['success']);
        $this->assertNoMachine();
    }

    public function testABearerTokenDoesAsWell(): void
    {
        $this->server(getenv('VMLINE_URL'), '', getenv('VMLINE_TOKEN'), getenv('VMLINE_FINGERPRINT'));
        $this->assertTrue(vmline_TestConnection($this->params())['success']);
        $this->assertStringNotContainsString(getenv('VMLINE_TOKEN'), (string) json_encode($this->calls('logModuleCall')));
    }

    /** @dataProvider clocks */
    public function testAClockThatIsWrong(int $seconds): void
    {
        $gateway = new Gateway(Server::fromId(self::SERVER), static fn (): int => time() + $seconds);
        $this->expectException(Refusal::class);
        $this->expectExceptionMessageMatches('/The clock of this server differs from the gateway\'s by ' . intdiv($seconds, 10) . '\d seconds: set it right/');
        $gateway->get('/v1/version');
    }

    /** @return list<list<int>> */
    public static function clocks(): array
    {
        return [[-905], [905]];
    }

    public function testTheFingerprintOfTheCertificate(): void
    {
        $digits = strtolower(str_replace(':', '', getenv('VMLINE_FINGERPRINT')));
        $key = (new Pin(Server::fromId(self::SERVER)))->publicKey(5);
        $this->assertStringStartsWith('sha256//', $key);
        $this->assertSame($key, Meta::get("pin:$digits"), 'it is looked for once');
        foreach ([$key, $digits, "SHA256:$digits", strtolower(getenv('VMLINE_FINGERPRINT'))] as $form) {
            Capsule::table('tblservers')->update(['accesshash' => $form]);
            $this->assertTrue(vmline_TestConnection($this->params())['success'], $form);
        }
    }

    /** @dataProvider wrongServers */
    public function testAServerThatIsNotTheGatewayGetsNothing(string $accessHash, string $message): void
    {
        $wanted = hash('sha256', 'another certificate');
        if ($accessHash === 'remembered') { // the certificate has changed since its key was remembered
            $accessHash = $wanted;
            Meta::set("pin:$wanted", 'sha256//' . base64_encode(hash('sha256', 'another key', true)));
        }
        Capsule::table('tblservers')->update(['accesshash' => $accessHash]);
        $said = vmline_CreateAccount($this->params());
        $this->assertStringContainsString($message, $said);
        $this->assertStringContainsString('Nothing was changed.', $said);
        $this->key('operate');
        $this->assertNoMachine();
    }

    /** @return iterable<string,list<string>> */
    public static function wrongServers(): iterable
    {
        yield 'another fingerprint' => [str_repeat('ab', 32), 'is not the gateway whose fingerprint'];
        yield 'another key' => ['sha256//' . base64_encode(str_repeat('x', 32)), 'is not the gateway whose fingerprint'];
        yield 'the key that was remembered is another' => ['remembered', 'is not the gateway whose fingerprint'];
        yield 'no fingerprint' => ['', 'signed by nobody whom this machine trusts'];
        yield 'no fingerprint at all' => ['my password', 'not a SHA-256 fingerprint'];
    }

    private function assertNoMachine(): void
    {
        try {
            $this->machine();
            $this->fail('something was ordered');
        } catch (Refusal $refusal) {
            $this->assertSame(Refusal::NOT_FOUND, $refusal->type);
        }
    }
}
