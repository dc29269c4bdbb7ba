<?php

namespace Vmline\Tests;

use WHMCS\Database\Capsule;

/**
 * The real gateway rings when something happened, and WHMCS looks at once.
 */
final class RealDoorbellTest extends RealCase
{
    private const PATIENCE = 60;

    private OtherWhmcs $other;

    protected function setUp(): void
    {
        parent::setUp();
        $this->other = new OtherWhmcs([self::SERVICE]);
    }

    protected function tearDown(): void
    {
        if (isset($this->other)) {
            $this->other->close();
        }
    }

    public function testTheGatewayRings(): void
    {
        $web = $this->other->web();
        $this->other->php('WHMCS\Database\Capsule::table("tblconfiguration")->insert(["setting" => "SystemURL", "value" => "' . $web . '/"]);');
        $this->assertSame(1, $this->register(''));
        $this->assertStringContainsString('VMLINE_TOKEN', $this->other->log(), 'the key of WHMCS may not');
        foreach ([1, 2] as $time) {
            $this->assertSame(0, $this->register(getenv('VMLINE_TOKEN')), $this->other->log());
        }
        $this->assertSame([$web . '/modules/servers/vmline/callback.php'], $this->endpoints(), 'the second has taken the place of the first');
        $this->assertSame('success', vmline_CreateAccount($this->params()));
        $this->awaitMail();
        $this->assertNotSame('', $this->other->query('SELECT dedicatedip FROM tblhosting')[0][0]);
        $logged = json_encode($this->other->query('SELECT * FROM stand_in_calls'));
        $this->assertStringNotContainsString(getenv('VMLINE_TOKEN'), $logged);
        $this->assertStringNotContainsString('whsec_', $logged);
    }

    private function register(string $token): int
    {
        return proc_close($this->other->start([PHP_BINARY, 'modules/servers/vmline/doorbell.php', (string) self::SERVER], ['VMLINE_TOKEN' => $token]));
    }

    /** @return list<string> the addresses at this web server */
    private function endpoints(): array
    {
        Capsule::table('tblservers')->update(['username' => '', 'password' => encrypt(getenv('VMLINE_TOKEN'))]);
        $urls = array_column($this->gateway()->get('/v1/webhook-endpoints')['items'], 'url');
        $this->key('operate');
        return $urls;
    }

    private function awaitMail(): void
    {
        for ($end = time() + self::PATIENCE; time() < $end; usleep(20000)) {
            if ($this->other->query("SELECT id FROM stand_in_calls WHERE function = 'SendEmail'") !== []) {
                return;
            }
        }
        $this->fail('nobody rang: ' . $this->other->log());
    }
}
